//! Writes the code of tonic and prost for an image of protocol buffers: generate IMAGE OUT.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let [image, out] = env::args_os().skip(1).map(PathBuf::from).collect::<Vec<_>>().try_into().map_err(|_| "usage: generate IMAGE OUT")?;
    let image = prost_types::FileDescriptorSet::decode(&*fs::read(image)?)?;
    tonic_prost_build::configure()
        .build_server(false)
        .out_dir(out)
        .include_file("generated.rs")
        .compile_fds(image)?;
    Ok(())
}
