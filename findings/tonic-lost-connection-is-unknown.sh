#!/usr/bin/env bash
# tonic has the code UNKNOWN for a call whose connection is lost.
#
# Guess: a call whose server is killed fails with UNAVAILABLE, as in Go, Java and C++, so that what repeats calls
#   after UNAVAILABLE repeats this one.
# What happens: such a call, and a stream that has begun, end with UNKNOWN. UNAVAILABLE is for a server that cannot be
#   connected to. What tells of a lost connection is that the status has a source, the error of the transport.
# Versions: tonic 0.14.9, hyper 1.12.0, h2 0.4.20, Rust 1.95.0. Seen 2026-12-01:
#
#   a call without an answer: Unknown, with its source: true
#   a call without a server: Unavailable, with its source: true
#   a stream after a message: Unknown, with its source: true
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat >Cargo.toml <<'C'
[package]
name = "lost"
version = "0.0.0"
edition = "2024"

[dependencies]
bytes = "1"
h2 = "0.4"
http = "1"
tokio = { version = "1", features = ["io-util", "macros", "net", "process", "rt", "time"] }
tonic = { version = "=0.14.9", default-features = false, features = ["codegen", "transport"] }
tonic-prost = "=0.14.9"
C
cat >src/main.rs <<'R'
// Calls a server, a second process of this program, and kills it meanwhile.
use std::{env, error::Error, process::Stdio, time::Duration};
use http::uri::PathAndQuery;
use tokio::{io::AsyncReadExt, net::TcpListener, process::{Child, Command}, time::{sleep, timeout}};
use tonic::{Request, Status, client::Grpc, transport::{Channel, Endpoint}};
use tonic_prost::ProstCodec;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

// Answers no call, except the first message of a stream.
async fn serve() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{:05}", listener.local_addr()?.port());
    let mut connection = h2::server::handshake(listener.accept().await?.0).await?;
    let mut held = Vec::new();
    while let Some(call) = connection.accept().await {
        let (request, mut respond) = call?;
        if request.uri().path() == "/a.B/Stream" {
            let head = http::Response::builder().header("content-type", "application/grpc").body(())?;
            let mut stream = respond.send_response(head, false)?;
            stream.send_data(bytes::Bytes::from_static(&[0; 5]), false)?;
            held.push(stream);
        }
        std::mem::forget(respond);
    }
    Ok(())
}

async fn start() -> Result<(Child, Grpc<Channel>)> {
    let mut child = Command::new(env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut port = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut port).await?;
    let channel = Endpoint::from_shared(format!("http://127.0.0.1:{}", str::from_utf8(&port)?))?.connect().await?;
    let mut client = Grpc::new(channel);
    client.ready().await?;
    Ok((child, client))
}

fn show(what: &str, status: Option<Status>) {
    match status {
        None => println!("{what}: no error"),
        Some(status) => println!("{what}: {:?}, with its source: {}", status.code(), std::error::Error::source(&status).is_some()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    if env::args().nth(1).is_some() {
        return serve().await;
    }
    let (mut server, mut client) = start().await?;
    let call = client.unary(Request::new(()), PathAndQuery::from_static("/a.B/Call"), ProstCodec::<(), ()>::default());
    let (answer, killed) = tokio::join!(timeout(Duration::from_secs(10), call), async {
        sleep(Duration::from_millis(500)).await;
        server.kill().await // SIGKILL
    });
    killed?;
    show("a call without an answer", answer?.err());

    client.ready().await?;
    let call = client.unary(Request::new(()), PathAndQuery::from_static("/a.B/Call"), ProstCodec::<(), ()>::default());
    show("a call without a server", timeout(Duration::from_secs(10), call).await?.err());

    let (mut server, mut client) = start().await?;
    let mut stream = client
        .server_streaming(Request::new(()), PathAndQuery::from_static("/a.B/Stream"), ProstCodec::<(), ()>::default())
        .await?
        .into_inner();
    stream.message().await?;
    server.kill().await?;
    show("a stream after a message", timeout(Duration::from_secs(10), stream.message()).await?.err());
    Ok(())
}
R
CARGO_TARGET_DIR=$work/target cargo build --quiet || exit 2
seen=$(target/debug/lost) || exit 2
echo "$seen"
[[ $seen == 'a call without an answer: Unknown, with its source: true
a call without a server: Unavailable, with its source: true
a stream after a message: Unknown, with its source: true' ]]
