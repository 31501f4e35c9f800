//! The operations on the CPU: f32, all cores, the same bits for any number of threads.
//!
//! Work is cut into tasks, none of which adds to what another one writes; so the number of threads decides who computes,
//! never in which order sums are formed. A step allocates nothing: lists of a few operands are on the stack, buffers
//! stay. Matrix products and convolutions go
//! through one register tile (`tile`), everything else through loops that the compiler vectorises for the processor
//! it finds ([`pulp`]: AVX-512, AVX2 with FMA, NEON, or plain).

mod activation;
mod add;
mod augment;
mod bf16;
mod conv;
mod conv_grad;
mod dropout;
mod fc;
mod fc_grad;
mod fc_thin;
mod floats;
mod lrn;
mod lrn_pool;
mod map_norm;
mod memory;
mod norm;
mod pad;
mod panels;
mod passed;
mod pool;
mod prepared;
mod softmax;
mod tile;
mod update;
mod vectors;
mod winograd;
mod winograd_conv;
mod winograd_grad;

use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Error;
use crate::cuda::Precision;
use crate::ops::{
    ActivationBackward, ActivationForward, Add, Augment, ConvForward, ConvInputGrad, ConvShape, ConvWeightGrad, Device,
    DropoutBackward, DropoutForward, FcForward, FcInputGrad, FcWeightGrad, FcWeightUpdate, List, LrnBackward,
    LrnForward, LrnPoolBackward, LrnPoolForward, MapNormBackward, MapNormForward, Operation, Operations, PoolBackward,
    PoolForward, SoftmaxBackward, SoftmaxForward, Span, Step, Update, expect_pixels,
};
use crate::shards::Shard;
use bf16::Bf16;
use floats::Floats;
use memory::Memory;
use passed::Passed;
use prepared::Prepared;
use tile::Kernel;
use winograd::Tiling;

/// The CPU as a device.
pub struct Cpu {
    memory: Memory,
    step: Step,
    tools: Tools,
    prepared: Prepared,
    passed: Passed,
    /// Packed operands and partial sums of the operation that runs; grows to the largest and stays.
    scratch: Floats,
}

/// What operations compute with.
struct Tools {
    threads: Arc<ThreadPool>,
    arch: Arch,
    kernel: Kernel,
    /// Whether convolutions are summed term by term, whatever their shape.
    direct: bool,
    /// What products are made with in bf16.
    bf16: Option<Bf16>,
}

impl Tools {
    /// How a convolution with an output of `height` x `width` pixels is cut for Winograd, if it is.
    fn tiling(&self, shape: &ConvShape, height: usize, width: usize) -> Option<Tiling> {
        if self.direct { None } else { Tiling::new(shape, height, width) }
    }

    /// Runs a loop compiled for this processor's vectors. The closure must be `#[inline(always)]`: only what is
    /// inlined gets the processor's instructions.
    fn vectorise(&self, work: impl FnMut()) {
        // Called by reference: a call by value goes through a shim that stops inlining.
        struct Loop<F>(F);
        impl<F: FnMut()> WithSimd for Loop<F> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(mut self, _: S) {
                (self.0)();
            }
        }
        self.arch.dispatch(Loop(work));
    }
}

impl Cpu {
    /// A device with `threads` threads; 0 takes as many as there are cores.
    ///
    /// # Errors
    /// [`Error::Threads`] when the system does not give them.
    pub fn new(threads: usize) -> Result<Cpu, Error> {
        let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("cpu{index}"));
        let pool = builder.build().map_err(|error| Error::Threads { threads, reason: error.to_string() })?;
        let arch = Arch::new();
        let tools = Tools { threads: Arc::new(pool), arch, kernel: Kernel::new(arch), direct: false, bf16: None };
        Ok(Cpu {
            memory: Memory::default(),
            step: Step::default(),
            tools,
            prepared: Prepared::default(),
            passed: Passed::default(),
            scratch: Floats::default(),
        })
    }

    /// The same device with every convolution summed term by term, in the order that [`crate::ops`] defines for all
    /// devices. Otherwise those of 3x3 and 5x5 go through Winograd's algorithm where that saves work.
    pub fn direct(mut self) -> Cpu {
        self.tools.direct = true;
        self
    }

    /// The same device with products in bf16: both factors are rounded, sums and memory are f32. No convolution goes
    /// through Winograd's algorithm.
    ///
    /// # Errors
    /// [`Error::NoBf16`] when the processor has no instructions for it.
    pub fn bf16(mut self) -> Result<Cpu, Error> {
        self.tools.bf16 = Some(Bf16::detect().ok_or(Error::NoBf16)?);
        Ok(self)
    }

    /// The type of the factors of products.
    pub fn precision(&self) -> Precision {
        if self.tools.bf16.is_some() { Precision::Bf16 } else { Precision::F32 }
    }

    /// Threads that compute.
    pub fn threads(&self) -> usize {
        self.tools.threads.current_num_threads()
    }

    /// Checks an operation against memory and step; what passes may be given to [`Memory`]'s unsafe methods.
    fn check<O: Operation + PartialEq + Send + Sync + 'static>(&mut self, op: &O) -> Result<usize, Error> {
        let images = self.step.images();
        if images == 0 {
            return Err(Error::Step(format!("{} before a step with images has begun", O::NAME)));
        }
        self.passed.check(op, images, &|region| self.memory.len(region))?;
        Ok(images)
    }
}

impl Device for Cpu {
    fn pools_normalised(&self) -> bool {
        true
    }

    fn reserve(&mut self, span: Span) -> Result<(), Error> {
        self.memory.reserve(span.region, span.end())
    }

    fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
        self.prepared.expire();
        self.memory.write(span, data)
    }

    fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
        self.memory.read(span, data)
    }

    fn begin(&mut self, step: &mut Step) -> Result<(), Error> {
        step.check()?;
        std::mem::swap(&mut self.step, step);
        Ok(())
    }

    /// Goes to the threads once: they take the whole list from there.
    fn run_list(&mut self, _list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
        let threads = Arc::clone(&self.tools.threads);
        threads.install(|| {
            for planned in operations {
                self.run(&planned.op)?;
            }
            Ok(())
        })
    }

    fn augment(&mut self, op: &Augment) -> Result<(), Error> {
        expect_pixels(Augment::NAME, op.blocks.is_some())?;
        let images = self.check(op)?;
        op.check_step(&self.step)?;
        augment::forward(&self.tools, &self.memory, op, &self.step, images);
        Ok(())
    }

    fn conv_forward(&mut self, op: &ConvForward) -> Result<(), Error> {
        expect_pixels(ConvForward::NAME, op.shape.in_blocks)?;
        let images = self.check(op)?;
        conv::forward(&self.tools, &self.memory, &mut self.prepared, op, images);
        Ok(())
    }

    fn conv_input_grad(&mut self, op: &ConvInputGrad) -> Result<(), Error> {
        expect_pixels(ConvInputGrad::NAME, op.shape.in_blocks)?;
        let images = self.check(op)?;
        conv::input_grad(&self.tools, &self.memory, &mut self.scratch, op, images);
        Ok(())
    }

    fn conv_weight_grad(&mut self, op: &ConvWeightGrad) -> Result<(), Error> {
        expect_pixels(ConvWeightGrad::NAME, op.shape.in_blocks)?;
        let images = self.check(op)?;
        conv_grad::weight_grad(&self.tools, &self.memory, &mut self.scratch, op, images);
        Ok(())
    }

    fn fc_forward(&mut self, op: &FcForward) -> Result<(), Error> {
        let images = self.check(op)?;
        let (tools, memory) = (&self.tools, &self.memory);
        match tools.bf16 {
            Some(bf16) if images > fc_thin::IMAGES => {
                bf16::fc::forward(tools, bf16, memory, &mut self.scratch, op, images);
            }
            _ => fc::forward(tools, memory, op, images),
        }
        Ok(())
    }

    fn fc_input_grad(&mut self, op: &FcInputGrad) -> Result<(), Error> {
        let images = self.check(op)?;
        let (tools, memory, scratch) = (&self.tools, &self.memory, &mut self.scratch);
        match tools.bf16 {
            None => fc::input_grad(tools, memory, scratch, op, images),
            Some(bf16) => bf16::fc::input_grad(tools, bf16, memory, scratch, op, images),
        }
        Ok(())
    }

    fn fc_weight_grad(&mut self, op: &FcWeightGrad) -> Result<(), Error> {
        let images = self.check(op)?;
        let (tools, memory, scratch) = (&self.tools, &self.memory, &mut self.scratch);
        match tools.bf16 {
            None => fc_grad::weight_grad(tools, memory, scratch, op, images),
            Some(bf16) => bf16::fc_grad::weight_grad(tools, bf16, memory, scratch, op, images),
        }
        Ok(())
    }

    fn fc_weight_update(&mut self, op: &FcWeightUpdate) -> Result<(), Error> {
        self.check(op)?;
        op.check_step(&self.step)?;
        let (tools, memory, scratch, step) = (&self.tools, &self.memory, &mut self.scratch, &self.step);
        match tools.bf16 {
            None => fc_grad::weight_update(tools, memory, scratch, op, step),
            Some(bf16) => bf16::fc_grad::weight_update(tools, bf16, memory, scratch, op, step),
        }
    }

    fn activation_forward(&mut self, op: &ActivationForward) -> Result<(), Error> {
        let images = self.check(op)?;
        activation::forward(&self.tools, &self.memory, op, images);
        Ok(())
    }

    fn activation_backward(&mut self, op: &ActivationBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        activation::backward(&self.tools, &self.memory, op, images)
    }

    fn lrn_forward(&mut self, op: &LrnForward) -> Result<(), Error> {
        let images = self.check(op)?;
        lrn::forward(&self.tools, &self.memory, op, images);
        Ok(())
    }

    fn lrn_backward(&mut self, op: &LrnBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        lrn::backward(&self.tools, &self.memory, op, images)
    }

    fn lrn_pool_forward(&mut self, op: &LrnPoolForward) -> Result<(), Error> {
        let images = self.check(op)?;
        lrn_pool::forward(&self.tools, &self.memory, op, images);
        Ok(())
    }

    fn lrn_pool_backward(&mut self, op: &LrnPoolBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        lrn_pool::backward(&self.tools, &self.memory, op, images)
    }

    fn map_norm_forward(&mut self, op: &MapNormForward) -> Result<(), Error> {
        let images = self.check(op)?;
        map_norm::forward(&self.tools, &self.memory, op, images);
        Ok(())
    }

    fn map_norm_backward(&mut self, op: &MapNormBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        map_norm::backward(&self.tools, &self.memory, op, images)
    }

    fn pool_forward(&mut self, op: &PoolForward) -> Result<(), Error> {
        let images = self.check(op)?;
        pool::forward(&self.tools, &self.memory, op, images);
        Ok(())
    }

    fn pool_backward(&mut self, op: &PoolBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        pool::backward(&self.tools, &self.memory, op, images)
    }

    fn dropout_forward(&mut self, op: &DropoutForward) -> Result<(), Error> {
        let images = self.check(op)?;
        dropout::forward(&self.tools, &self.memory, op, &self.step, images);
        Ok(())
    }

    fn dropout_backward(&mut self, op: &DropoutBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        dropout::backward(&self.tools, &self.memory, op, &self.step, images);
        Ok(())
    }

    fn softmax_forward(&mut self, op: &SoftmaxForward) -> Result<(), Error> {
        let images = self.check(op)?;
        op.check_step(&self.step)?;
        softmax::forward(&self.memory, op, &self.step, images);
        Ok(())
    }

    fn softmax_backward(&mut self, op: &SoftmaxBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        softmax::backward(&self.memory, op, &self.step, images);
        Ok(())
    }

    fn add(&mut self, op: &Add) -> Result<(), Error> {
        let images = self.check(op)?;
        add::add(&self.tools, &self.memory, op, images);
        Ok(())
    }

    fn update(&mut self, op: &Update) -> Result<(), Error> {
        self.check(op)?;
        let rate = op.rate(&self.step)?;
        self.prepared.expire();
        update::update(&self.tools, &self.memory, op, rate);
        Ok(())
    }
}

impl Shard for Cpu {
    /// A copy is done when it is given.
    const SLICES: usize = 1;

    fn send(&mut self, from: Span, receiver: &mut Cpu, to: Span, len: usize, _: bool) -> Result<(), Error> {
        let from = Span { len, ..from };
        receiver.memory.copy(to, &self.memory, from)
    }

    fn settle(&mut self, _receiver: usize, _left: usize) -> Result<(), Error> {
        Ok(())
    }

    /// What it was given is done.
    fn wait_for_list(&mut self) -> Result<bool, Error> {
        Ok(false)
    }
}
