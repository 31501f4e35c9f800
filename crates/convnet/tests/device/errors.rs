//! What errors say.

use std::process::Command;

use convnet::device::{Argument, Buffer, Context, Module, Stream, driver_version};
use kernels_gpu::Kernel;

use crate::card::{Bench, card};

#[test]
fn a_card_says_what_it_is() {
    let context = card(0);
    assert!(!context.name().unwrap().is_empty());
    let (major, _) = context.compute_capability().unwrap();
    assert!(major >= 8, "kernels are for 8.0 and later");
    let memory = context.memory().unwrap();
    assert!(memory.free <= memory.total && memory.total >= 1 << 30, "{memory:?}");
    assert!(driver_version().unwrap() >= (11, 0));
}

#[test]
fn a_wrong_number_names_the_right_ones() {
    card(0);
    let count = Context::count().unwrap();
    let error = Context::new(count).unwrap_err();
    assert_eq!((error.call, error.code), ("cuDeviceGet", 101));
    let text = error.to_string();
    let right = if count == 1 { "number 0".to_string() } else { format!("numbers 0 to {}", count - 1) };
    assert!(text.starts_with(&format!("opening device {count}: cuDeviceGet failed with code 101")), "{text}");
    assert!(text.ends_with(&right), "{text}");
}

#[test]
fn bad_ptx_comes_with_what_is_wrong_in_it() {
    let error = Module::load(&card(0), ".version 7.0\n.target sm_80\n.address_size 64\nnonsense\0").unwrap_err();
    assert_eq!((error.call, error.code), ("cuModuleLoadDataEx", 218));
    assert!(error.words.report.contains('4') || error.words.report.contains("nonsense"), "{error}");
    assert!(error.words.remedy.contains("cargo xtask build-ptx"), "{error}");
}

#[test]
fn a_missing_kernel_is_named() {
    const MISSING: Kernel = Kernel { name: "no_such_kernel", ..kernels_gpu::fill::FILL };
    let context = card(0);
    let Some(ptx) = crate::card::ptx() else { return };
    let error = Module::load(&context, &ptx).unwrap().function(&MISSING).unwrap_err();
    assert_eq!((error.call, error.code), ("cuModuleGetFunction", 500));
    assert!(error.to_string().starts_with("finding kernel no_such_kernel: "), "{error}");
    assert!(error.words.remedy.contains("cargo xtask build-ptx"), "{error}");
}

#[test]
fn a_launch_that_no_card_can_do_says_which() {
    let Some(bench) = Bench::new(card(0)) else { return };
    let kernel = &kernels_gpu::fill::FILL;
    let arguments = [Argument::address(&0), Argument::value(&0.0_f32), Argument::value(&0_u32)];
    // SAFETY: the grid is refused; and with no elements the kernel would write nothing.
    let refused = unsafe { bench.stream.launch(bench.function(kernel), [1, 70_000, 1], &arguments) };
    let error = refused.unwrap_err().to_string();
    assert!(error.starts_with("launching fill with a grid of [1, 70000, 1]: cuLaunchKernel failed"), "{error}");
}

/// The card is lost to the process that does this, so that is one of its own.
#[test]
fn a_fault_is_reported_with_its_kernel_and_nothing_panics_after_it() {
    const CHILD: &str = "ALEXNET_TEST_FAULT";
    if std::env::var_os(CHILD).is_none() {
        let test = "errors::a_fault_is_reported_with_its_kernel_and_nothing_panics_after_it";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args(["--exact", test, "--nocapture"]).env(CHILD, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let Some(bench) = Bench::new(card(0)) else { return };
    let arguments = [Argument::address(&64), Argument::value(&1.0_f32), Argument::value(&1_u32)];
    // SAFETY: it breaks the kernel's contract on purpose: nothing is at that address of the card, which is to say so.
    let launched = unsafe { bench.stream.launch(bench.function(&kernels_gpu::fill::FILL), [1, 1, 1], &arguments) };
    let error = launched.and_then(|()| bench.stream.synchronize()).unwrap_err();
    assert!([700, 719].contains(&error.code), "{error}");
    assert!(error.words.remedy.contains("start it again"), "{error}");
    // Only a simulated card says which kernel it was.
    if cuda_driver::backend() != Ok(cuda_driver::Backend::Library) {
        assert!(error.words.report.contains("fill"), "{error}");
    }
}

#[test]
#[should_panic(expected = "bytes 8 to 20 of a buffer of 16")]
fn a_part_outside_of_its_buffer_is_a_bug() {
    let buffer = Buffer::zeroed(&card(0), 16).unwrap();
    buffer.part(8..20);
}

#[test]
#[should_panic(expected = "bytes to copy and room for them")]
fn a_copy_of_two_sizes_is_a_bug() {
    let context = card(0);
    let buffer = Buffer::zeroed(&context, 16).unwrap();
    let _ = Stream::new(&context).unwrap().copy(buffer.part(0..8), buffer.part(8..12));
}
