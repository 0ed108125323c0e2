//! Writes the code of tonic and prost for an image of protocol buffers: generate IMAGE OUT.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use tonic_prost_build::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    let [image, out] = env::args_os()
        .skip(1)
        .map(PathBuf::from)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "usage: generate IMAGE OUT")?;
    let mut image = FileDescriptorSet::decode(&*fs::read(image)?)?;
    // tonic-types has the details of errors. Those of google.protobuf stay: prost asks of what they are made.
    image.file.retain(|file| file.package() != "google.rpc");
    tonic_prost_build::configure()
        .build_server(false)
        .out_dir(out)
        .compile_fds(image)?;
    Ok(())
}
