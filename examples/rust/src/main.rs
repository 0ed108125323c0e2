//! A client of samsara-gateway in Rust: see ../README.md for what it shows.

use std::{
    collections::{BTreeMap, HashSet},
    env,
    error::Error,
    fmt::Display,
    fs, io, iter,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use prost_types::{FieldMask, NullValue, Timestamp, Value, value::Kind};
use samsara_gateway::{
    addresses::v1::{
        AddressGeofence, AddressGeofenceCircle, CreateAddressRequest,
        addresses_service_client::AddressesServiceClient,
    },
    api::v1::FollowOptions,
    contacts::v1::{
        GetContactRequest, GetContactResponse, UpdateContactRequest,
        contacts_service_client::ContactsServiceClient,
    },
    location_and_speed::v1::{
        FollowLocationAndSpeedRequest, ListLocationAndSpeedRequest,
        location_and_speed_service_client::LocationAndSpeedServiceClient,
    },
    readings::v1::{
        CreateReadingsRequest, ListReadingsSnapshotRequest, ReadingDatapoint,
        readings_service_client::ReadingsServiceClient,
    },
    tags::v1::{ListTagsRequest, StreamTagsRequest, tags_service_client::TagsServiceClient},
    vehicles::v1::{
        GetVehicleRequest, ListVehiclesRequest, StreamVehiclesRequest,
        vehicles_service_client::VehiclesServiceClient,
    },
};
use tokio::{
    net::lookup_host,
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::{
    Code, Request, Response, Status, TimeoutExpired,
    codec::CompressionEncoding,
    metadata::MetadataValue,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_types::StatusExt;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const DEADLINE: Duration = Duration::from_secs(10);
/// How large an answer may be. The gateway sends larger ones than tonic's default of 4 MiB.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// How many records of a feed are read.
const RECORDS: usize = 60;
/// Every collection of the sandbox has a record with this id.
const ID: &str = "281474976710657";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    // A channel connects when it is first used, and again when its connection is lost. Its clones share it.
    let channel = endpoint("http", variable("GATEWAY")?)?.connect_lazy();
    let feed = endpoint("http", variable("GATEWAY_FEED")?)?.connect_lazy();
    let tls = endpoint("https", variable("GATEWAY_TLS")?)?
        .tls_config(ClientTlsConfig::new().ca_certificate(authority()?))?
        .connect_lazy();
    // tonic has no health check and no retry policy. Its Channel::balance_list picks at random, a replica that is gone
    // as often as one that is there, so there is a channel for each address of the name.
    let replicas = lookup_host(variable("GATEWAY_REPLICAS")?)
        .await?
        .map(|address| Ok(endpoint("http", address)?.connect_lazy()))
        .collect::<Result<Vec<_>>>()?;

    list(channel.clone()).await?;
    timeout(Duration::from_secs(120), follow(feed)).await??;
    restarts(replicas).await?;
    quota(channel.clone()).await?;
    argument(channel.clone()).await?;
    null(channel.clone()).await?;
    value(channel.clone()).await?;
    int64(channel.clone()).await?;
    drift(channel.clone()).await?;
    retries(channel.clone()).await?;
    deadline(channel.clone()).await?;
    encrypted(tls).await?;
    compressed(channel.clone()).await?;
    leave(channel).await
}

fn variable(name: &str) -> Result<String> {
    Ok(env::var(name).map_err(|_| format!("{name} is not set"))?)
}

/// An endpoint. Pings find out that a gateway is gone without a word, and are never more frequent than the gateway
/// takes, one in 10 seconds.
fn endpoint(scheme: &str, address: impl Display) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("{scheme}://{address}"))?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10)))
}

fn authority() -> Result<Certificate> {
    Ok(Certificate::from_pem(fs::read(variable("GATEWAY_CA")?)?))
}

/// A request with a deadline. tonic waits no longer for an answer to begin. The gateway is told the deadline, and
/// ends a stream by it.
fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// A request that the sandbox answers with a fault.
fn faulty<T>(message: T, fault: &'static str) -> Request<T> {
    let mut request = bounded(message);
    request
        .metadata_mut()
        .insert("samsara-sandbox-fault", MetadataValue::from_static(fault));
    request
}

fn get_contact() -> GetContactRequest {
    GetContactRequest {
        id: Some(ID.into()),
    }
}

/// Reads all vehicles. The gateway reads the pages.
async fn list(channel: Channel) -> Result {
    let mut client =
        VehiclesServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut stream = client
        .stream_vehicles(bounded(StreamVehiclesRequest {
            request: Some(ListVehiclesRequest {
                limit: Some(5),
                ..Default::default()
            }),
            ..Default::default()
        }))
        .await?
        .into_inner();
    let (mut vehicles, mut pages) = (0, 0);
    while let Some(message) = stream.message().await? {
        vehicles += message.page.map_or(0, |page| page.data.len());
        pages += 1;
    }
    println!("list: {vehicles} vehicles in {pages} pages");
    Ok(())
}

/// Reads a feed. When the gateway is lost it goes on behind the last message that was dealt with.
async fn follow(channel: Channel) -> Result {
    let mut client =
        LocationAndSpeedServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let begin = Timestamp {
        nanos: 0,
        ..(SystemTime::now() - Duration::from_secs(3600)).into()
    };
    // A cursor goes with the request that it is from, so this is the same each time.
    let asked = ListLocationAndSpeedRequest {
        ids: vec![ID.into()],
        limit: Some(10),
        start_time: Some(begin.to_string()),
        ..Default::default()
    };
    // A service keeps the cursor where it keeps what it has made of the records.
    let mut cursor: Option<String> = None;
    let mut seen = HashSet::new();
    let (mut twice, mut was_lost) = (0, false);
    while seen.len() < RECORDS {
        let mut request = Request::new(FollowLocationAndSpeedRequest {
            request: Some(asked.clone()),
            options: Some(FollowOptions {
                from_cursor: cursor.clone(),
                ..Default::default()
            }),
        });
        request.set_timeout(Duration::from_secs(60));
        let reading = async {
            let mut stream = client
                .follow_location_and_speed(request)
                .await?
                .into_inner();
            let mut begun = false;
            while seen.len() < RECORDS
                && let Some(message) = stream.message().await?
            {
                for record in message.page.unwrap_or_default().data {
                    if !seen.insert(record.happened_at_time) {
                        twice += 1;
                    }
                }
                if !begun {
                    eprintln!("follow begins");
                    begun = true;
                }
                cursor = message.cursor.or(cursor.take());
            }
            Ok::<_, Status>(()) // The stream is dropped here, which ends it.
        };
        match reading.await {
            Err(status) if lost(&status) => {
                was_lost = true;
                // tonic does not wait for a gateway that is not there: it fails the call at once.
                sleep(Duration::from_millis(250)).await;
            }
            read => read?,
        }
    }
    println!(
        "follow: {} records, {twice} of them twice, the gateway was lost: {was_lost}",
        seen.len()
    );
    Ok(())
}

/// Whether the gateway has gone: it said so, or the connection broke. For the latter tonic has the code Unavailable
/// only while it connects, later Unknown or Cancelled, but always the error of the connection as the source.
fn lost(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.source().is_some()
}

/// Calls without a pause until standard input ends. Meanwhile one replica after the other is restarted.
async fn restarts(replicas: Vec<Channel>) -> Result {
    let replicas: Arc<[_]> = replicas
        .into_iter()
        .map(|channel| {
            ContactsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES)
        })
        .collect();
    get_contact_from(&replicas, 0).await?;
    eprintln!("restarts begin");
    let input = Arc::new(thread::spawn(|| {
        io::copy(&mut io::stdin(), &mut io::sink())
    }));
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let (replicas, input) = (replicas.clone(), input.clone());
        callers.spawn(async move {
            let (mut calls, mut failures) = (0, Vec::new());
            while !input.is_finished() {
                if let Err(status) = get_contact_from(&replicas, caller + calls).await {
                    failures.push(status);
                }
                calls += 1;
            }
            (calls, failures)
        });
    }
    let (calls, failures): (Vec<_>, Vec<_>) = callers.join_all().await.into_iter().unzip();
    let failures = failures.concat();
    eprintln!("restarts: {} calls", calls.iter().sum::<usize>());
    if let Some(first) = failures.first() {
        eprintln!("{first:?}");
    }
    println!("restarts: {} calls failed", failures.len());
    Ok(())
}

/// Asks the replicas in turn, at most three times, as a retry policy of gRPC does. Only calls that read may be repeated
/// so: a gateway that is lost does not tell whether it has written.
async fn get_contact_from(
    replicas: &[ContactsServiceClient<Channel>],
    turn: usize,
) -> Result<Response<GetContactResponse>, Status> {
    let end = Instant::now() + DEADLINE;
    let mut backoff = Duration::from_millis(100);
    let mut attempts = 0;
    loop {
        let mut client = replicas[(turn + attempts) % replicas.len()].clone();
        let mut request = faulty(get_contact(), "latency=50ms");
        request.set_timeout(end.saturating_duration_since(Instant::now()));
        attempts += 1;
        let status = match client.get_contact(request).await {
            Err(status) if attempts < 3 && lost(&status) => status,
            answer => return answer,
        };
        // The gateway says when a call may be repeated. What is no such time, as -1, says that it may not.
        let wait = match status.metadata().get("grpc-retry-pushback-ms") {
            None => backoff.mul_f64(fastrand::f64()),
            Some(wait) => match wait.to_str().ok().and_then(|wait| wait.parse().ok()) {
                Some(wait) => Duration::from_millis(wait),
                None => return Err(status),
            },
        };
        sleep(wait).await;
        backoff = (backoff * 2).min(Duration::from_secs(1));
    }
}

/// Reads an error: its code, its reason, and when to call again.
async fn quota(channel: Channel) -> Result {
    let mut client =
        ContactsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut request = faulty(get_contact(), "status=429; retry-after=30");
    request.set_timeout(Duration::from_secs(5));
    let Err(status) = client.get_contact(request).await else {
        return Err("quota: the call succeeded".into());
    };
    if status.code() != Code::ResourceExhausted {
        return Err(status.into());
    }
    let info = status
        .get_details_error_info()
        .ok_or("quota: there is no ErrorInfo")?;
    let wait = status
        .get_details_retry_info()
        .and_then(|retry| retry.retry_delay)
        .ok_or("quota: there is no RetryInfo")?;
    println!(
        "quota: RESOURCE_EXHAUSTED, {}, call again in {} s",
        info.reason,
        wait.as_secs()
    );
    Ok(())
}

/// Reads which field the gateway refused.
async fn argument(channel: Channel) -> Result {
    let mut client =
        ContactsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let request = bounded(UpdateContactRequest {
        first_name: Some("Ada".into()),
        ..Default::default()
    });
    let Err(status) = client.update_contact(request).await else {
        return Err("argument: the call succeeded".into());
    };
    if status.code() != Code::InvalidArgument {
        return Err(status.into());
    }
    let refused = status
        .get_details_bad_request()
        .ok_or("argument: there is no BadRequest")?;
    let violation = refused
        .field_violations
        .first()
        .ok_or("argument: BadRequest names no field")?;
    println!("argument: {}: {}", violation.field, violation.description);
    Ok(())
}

/// Removes a value: the field is in the mask, and unset.
async fn null(channel: Channel) -> Result {
    let mut client =
        ContactsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let contact = client
        .update_contact(bounded(UpdateContactRequest {
            id: Some(ID.into()),
            update_mask: Some(FieldMask {
                paths: vec!["phone".into()],
            }),
            ..Default::default()
        }))
        .await?
        .into_inner()
        .data
        .ok_or("null: there is no contact")?;
    // Unset is None. An empty phone would be Some.
    let phone = match contact.phone {
        None => "no phone",
        Some(_) => "a phone",
    };
    println!("null: contact {} has {phone}", contact.id());
    Ok(())
}

/// Sends a free-form value, and reads it.
async fn value(channel: Channel) -> Result {
    let mut client =
        ReadingsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let null = Value::from(Kind::NullValue(NullValue::NullValue.into()));
    let levels = vec![Value::from(1.0), Value::from(2.5), null];
    let sent = Value::from(BTreeMap::from([
        ("open".to_string(), Value::from(true)),
        ("levels".to_string(), Value::from(levels)),
    ]));
    client
        .create_readings(bounded(CreateReadingsRequest {
            data: vec![ReadingDatapoint {
                entity_type: Some("asset".into()),
                entity_id: Some(ID.into()),
                reading_id: Some("doors".into()),
                happened_at_time: Some(Timestamp::from(SystemTime::now()).to_string()),
                value: Some(sent),
                ..Default::default()
            }],
        }))
        .await?;
    let latest = client
        .list_readings_snapshot(bounded(ListReadingsSnapshotRequest {
            entity_type: Some("asset".into()),
            entity_ids: vec![ID.into()],
            reading_ids: vec!["doors".into()],
            ..Default::default()
        }))
        .await?
        .into_inner();
    let kept = latest
        .data
        .into_iter()
        .next()
        .and_then(|reading| reading.value);
    let Some(Kind::StructValue(mut kept)) = kept.and_then(|value| value.kind) else {
        return Err("value: there is no object".into());
    };
    let mut member = |name: &str| kept.fields.remove(name).and_then(|value| value.kind);
    let (Some(Kind::BoolValue(open)), Some(Kind::ListValue(levels))) =
        (member("open"), member("levels"))
    else {
        return Err(format!("value: something else came back, without {:?}", kept.fields).into());
    };
    println!(
        "value: open is {open}, levels has {} values",
        levels.values.len()
    );
    Ok(())
}

/// Sends a whole number that a floating point number cannot hold, and reads it.
async fn int64(channel: Channel) -> Result {
    let mut client =
        AddressesServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let address = client
        .create_address(bounded(CreateAddressRequest {
            name: Some("Depot".into()),
            formatted_address: Some("1 Road".into()),
            geofence: Some(AddressGeofence {
                circle: Some(AddressGeofenceCircle {
                    radius_meters: Some(9_007_199_254_740_993),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }))
        .await?
        .into_inner()
        .data;
    let radius = address
        .and_then(|address| address.geofence)
        .and_then(|geofence| geofence.circle)
        .and_then(|circle| circle.radius_meters)
        .ok_or("int64: there is no radius")?;
    println!("int64: {radius}");
    Ok(())
}

/// Reads how an answer differed from its message. tonic puts the trailer of a unary call beside its header.
async fn drift(channel: Channel) -> Result {
    let mut client =
        VehiclesServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let message = GetVehicleRequest {
        id: Some(ID.into()),
    };
    let answer = client.get_vehicle(faulty(message, "drift")).await?;
    let drift = answer
        .metadata()
        .get("samsara-drift")
        .ok_or("drift: there is no samsara-drift")?;
    println!("drift: {}", drift.to_str()?);
    Ok(())
}

/// Reads how many attempts the gateway made.
async fn retries(channel: Channel) -> Result {
    let mut client =
        ContactsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let answer = client
        .get_contact(faulty(get_contact(), "status=503; first=2"))
        .await?;
    let attempts = answer
        .metadata()
        .get("samsara-attempts")
        .ok_or("retries: there is no samsara-attempts")?;
    println!("retries: {} attempts", attempts.to_str()?);
    Ok(())
}

/// Waits no longer than its deadline.
async fn deadline(channel: Channel) -> Result {
    let mut client =
        ContactsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut request = faulty(get_contact(), "latency=5s");
    request.set_timeout(Duration::from_millis(300));
    match client.get_contact(request).await {
        Ok(_) => Err("deadline: the call succeeded".into()),
        Err(status) if expired(&status) => {
            println!("deadline: DEADLINE_EXCEEDED");
            Ok(())
        }
        Err(status) => Err(status.into()),
    }
}

/// Whether the deadline has passed, by the clock of the gateway or by ours. For the latter tonic has the code
/// Cancelled.
fn expired(status: &Status) -> bool {
    status.code() == Code::DeadlineExceeded
        || iter::successors(status.source(), |error| (**error).source())
            .any(|error| error.is::<TimeoutExpired>())
}

/// Calls a gateway whose certificate was signed by our own authority.
async fn encrypted(channel: Channel) -> Result {
    let mut client = TagsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let tags = client
        .list_tags(bounded(ListTagsRequest {
            limit: Some(100),
            ..Default::default()
        }))
        .await?
        .into_inner()
        .data;
    println!("tls: {} tags", tags.len());
    Ok(())
}

/// Compresses what it sends, and takes what is compressed.
async fn compressed(channel: Channel) -> Result {
    let mut client = TagsServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    let tags = client
        .list_tags(bounded(ListTagsRequest {
            limit: Some(100),
            ..Default::default()
        }))
        .await?
        .into_inner()
        .data;
    println!("gzip: {} tags", tags.len());
    Ok(())
}

/// Leaves a stream before its end. To drop it is enough: that resets the stream, and the gateway stops reading pages.
/// What is kept but not read any more goes on holding memory there.
async fn leave(channel: Channel) -> Result {
    let mut client = TagsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut stream = client
        .stream_tags(bounded(StreamTagsRequest {
            request: Some(ListTagsRequest {
                limit: Some(2),
                ..Default::default()
            }),
            ..Default::default()
        }))
        .await?
        .into_inner();
    stream
        .message()
        .await?
        .ok_or("leave: the stream has no page")?;
    drop(stream);
    println!("leave: left after 1 page");
    Ok(())
}
