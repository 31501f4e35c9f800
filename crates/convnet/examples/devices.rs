//! Lists the GPUs, and tries on each what a net needs: kernels, memory, copies.
//!
//! `cargo run -p convnet --example devices` asks the driver; with `ALEXNET_CUDA=sim:2` two devices are simulated.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use convnet::Error;
use convnet::cuda::{self, Cuda, Precision};
use convnet::device::{Buffer, Context, driver_version};

fn main() -> ExitCode {
    match list() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<(), Error> {
    let count = Context::count()?;
    let (major, minor) = driver_version()?;
    println!("driver for CUDA {major}.{minor}, {count} devices");
    for ordinal in 0..count {
        let context = Context::new(ordinal)?;
        let (major, minor) = context.compute_capability()?;
        let memory = context.memory()?;
        println!("{ordinal}: {}, compute capability {major}.{minor}", context.name()?);
        println!("   {} of {} MiB are free", memory.free >> 20, memory.total >> 20);
        if cuda::has_kernels() {
            Cuda::new(ordinal, Precision::F32)?;
            println!("   kernels are loaded");
        } else {
            println!("   no kernels in this program; `cargo xtask build-ptx` makes them");
        }
        println!("   {} numbers copied there and back", round_trip(&context)?);
    }
    Ok(())
}

/// Copies numbers to the card and back; how many were the same.
fn round_trip(context: &Context) -> Result<usize, Error> {
    let numbers: Vec<u32> = (0..1 << 20).collect();
    let mut buffer = Buffer::zeroed(context, size_of_val(numbers.as_slice()))?;
    buffer.write(0, &numbers)?;
    let mut back = vec![0; numbers.len()];
    buffer.read(0, &mut back)?;
    Ok(numbers.iter().zip(&back).filter(|(number, back)| number == back).count())
}
