//! What the tests share: cards, kernels, and buffers that notice stray writes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use convnet::cuda;
use convnet::device::{Argument, Buffer, Context, Function, Module, Part, Stream};
use kernels_gpu::Kernel;

/// The card with this number; two are simulated.
pub(crate) fn card(ordinal: u32) -> Context {
    simulate();
    Context::new(ordinal).unwrap()
}

/// Two cards, or a line that says that there is only one.
pub(crate) fn two_cards() -> Option<(Context, Context)> {
    simulate();
    if Context::count().unwrap() < 2 {
        skip("it takes two devices");
        return None;
    }
    Some((card(0), card(1)))
}

/// Says why a test, or a part of it, does not run. Not with `eprintln`, whose output of a test that passes is not shown.
pub(crate) fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
}

fn simulate() {
    if std::env::var_os("ALEXNET_TEST_GPU").is_none() {
        cuda::simulate(2).unwrap();
    }
}

/// The PTX that was built, or the file that `ALEXNET_KERNELS` names, or a line that says that it is missing.
pub(crate) fn ptx() -> Option<String> {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/ptx/kernels.sm_80.ptx");
    let ptx = std::fs::read_to_string(std::env::var_os("ALEXNET_KERNELS").map_or_else(built, PathBuf::from));
    if ptx.is_err() {
        skip("no target/ptx/kernels.sm_80.ptx; `cargo xtask build-ptx` makes it");
    }
    ptx.ok()
}

/// A card with kernels and a stream.
pub(crate) struct Bench {
    module: Module,
    pub(crate) stream: Stream,
    pub(crate) context: Context,
}

impl Bench {
    /// None where there is no PTX.
    pub(crate) fn new(context: Context) -> Option<Bench> {
        let module = Module::load(&context, &ptx()?).unwrap();
        Some(Bench { module, stream: Stream::new(&context).unwrap(), context })
    }

    pub(crate) fn function(&self, kernel: &'static Kernel) -> Function {
        self.module.function(kernel).unwrap()
    }

    /// Starts a kernel.
    ///
    /// # Safety
    /// As [`Stream::launch`].
    pub(crate) unsafe fn start(&self, kernel: &'static Kernel, grid: [u32; 3], arguments: &[Argument<'_>]) {
        // SAFETY: the caller's contract.
        unsafe { self.stream.launch(self.function(kernel), grid, arguments) }.unwrap();
    }
}

/// A byte that no test writes: four of them are a NaN.
const GUARD: u8 = 0xff;
const GUARD_BYTES: usize = 256;

/// Numbers on a card, with guards on both sides.
pub(crate) struct Guarded {
    buffer: Buffer,
    bytes: usize,
}

impl Guarded {
    /// Room for `len` numbers, each of them poison.
    pub(crate) fn poisoned<T: Pod>(context: &Context, len: usize) -> Guarded {
        let bytes = len * size_of::<T>();
        let mut buffer = Buffer::zeroed(context, bytes + 2 * GUARD_BYTES).unwrap();
        buffer.write(0, &vec![GUARD; bytes + 2 * GUARD_BYTES]).unwrap();
        Guarded { buffer, bytes }
    }

    pub(crate) fn of<T: Pod>(context: &Context, numbers: &[T]) -> Guarded {
        let mut guarded = Guarded::poisoned::<T>(context, numbers.len());
        guarded.write(numbers);
        guarded
    }

    pub(crate) fn write<T: Pod>(&mut self, numbers: &[T]) {
        assert_eq!(size_of_val(numbers), self.bytes);
        self.buffer.write(GUARD_BYTES, numbers).unwrap();
    }

    pub(crate) fn part(&self) -> Part<'_> {
        self.buffer.part(GUARD_BYTES..GUARD_BYTES + self.bytes)
    }

    pub(crate) fn address(&self) -> u64 {
        self.part().address()
    }

    /// The numbers, when the card is done; the guards are as they were.
    pub(crate) fn read<T: Pod>(&self) -> Vec<T> {
        let mut bytes = vec![0_u8; self.buffer.len()];
        self.buffer.read(0, &mut bytes).unwrap();
        let (before, rest) = bytes.split_at(GUARD_BYTES);
        let (numbers, after) = rest.split_at(self.bytes);
        let touched = before.iter().chain(after).position(|&byte| byte != GUARD);
        assert_eq!(touched, None, "a guard byte was written");
        let mut read = vec![T::zeroed(); self.bytes / size_of::<T>()];
        bytemuck::cast_slice_mut(&mut read).copy_from_slice(numbers);
        read
    }
}

pub(crate) fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}
