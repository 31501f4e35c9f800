//! The operations on a GPU: one safe launcher per kernel, in the file of its operation.
//!
//! A launcher has checked shapes from [`crate::ops::Operation::check`], computes the grid from the kernel's own
//! constants, and passes each operand as the base of its region and an offset in elements.

mod activation;
mod add;
mod augment;
mod available;
mod blocks;
mod conv;
mod dropout;
mod exchange;
mod fc;
mod fc_update;
mod graphs;
mod link;
mod lrn;
mod map_norm;
mod memory;
mod operand;
mod pool;
mod product;
mod progress;
mod softmax;
mod step;
mod time;
mod update;

use std::collections::HashMap;
use std::sync::Arc;

use crate::Error;
use crate::device::{Argument, Buffer, Context, Function, Module, Stream, wait};
use crate::ops::{
    ActivationBackward, ActivationForward, Add, Augment, ConvForward, ConvInputGrad, ConvShape, ConvWeightGrad, Device,
    DropoutBackward, DropoutForward, FcForward, FcInputGrad, FcWeightGrad, FcWeightUpdate, List, LrnBackward,
    LrnForward, LrnPoolBackward, LrnPoolForward, MapNormBackward, MapNormForward, Op, Operation, Operations, Planned,
    PoolBackward, PoolForward, SoftmaxBackward, SoftmaxForward, Span, Step, Update,
};
use crate::shards::Shard;
pub use available::{available, has_kernels, is_simulated, simulate};
pub use link::{Link, connect, slices};

use exchange::Exchanges;
use graphs::Graphs;
use memory::Memory;
use progress::{Layers, Progress};
use step::StepMemory;

pub use kernels_gpu::Precision;

/// A GPU as a device.
pub struct Cuda {
    /// Before the memory: what other cards still read is waited for before it goes.
    exchanges: Exchanges,
    memory: Memory,
    step: Step,
    /// Images of the operation that runs, if it is one on a slice of the batch.
    slice: Option<usize>,
    /// The step, on the card.
    inputs: StepMemory,
    /// For each [`Scratch`]; grows to the largest and stays.
    scratch: [Option<Buffer>; 2],
    /// What is updated.
    tables: update::Tables,
    functions: HashMap<&'static str, Function>,
    /// Keeps the functions alive.
    _module: Module,
    graphs: Graphs,
    progress: Progress,
    stream: Arc<Stream>,
    context: Context,
}

impl Cuda {
    /// The card with this number, to compute in `precision`: [`crate::ops::Region::Work`], and the weights that products
    /// read, are of that type; the other regions are f32. What is written is rounded to nearest.
    ///
    /// # Errors
    /// [`Error::Driver`], [`Error::NoKernels`] when this was built without kernels, [`Error::Deadline`].
    pub fn new(ordinal: u32, precision: Precision) -> Result<Cuda, Error> {
        wait::deadline().map_err(|value| Error::Deadline { value })?;
        let context = Context::new(ordinal)?;
        let module = Module::load(&context, &available::kernels()?)?;
        let mut functions = HashMap::new();
        for kernel in &kernels_gpu::KERNELS {
            functions.insert(kernel.name, module.function(kernel)?);
        }
        let stream = Arc::new(Stream::new(&context)?);
        let exchanges = Exchanges::new(&context)?;
        let graphs = Graphs::default();
        let memory = Memory::new(&context, precision)?;
        let inputs = StepMemory::new(&context)?;
        let (step, slice, scratch) = (Step::default(), None, [None, None]);
        let tables = update::Tables::default();
        Ok(Cuda {
            exchanges,
            memory,
            step,
            slice,
            inputs,
            scratch,
            tables,
            functions,
            _module: module,
            graphs,
            progress: Progress::default(),
            stream,
            context,
        })
    }

    /// The card's name.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn name(&self) -> Result<String, Error> {
        Ok(self.context.name()?)
    }

    /// The type of activations, their gradients, and of the weights that products read.
    pub fn precision(&self) -> Precision {
        self.memory.precision()
    }

    /// Checks an operation, which will run, against memory and step, and gives the number of images.
    fn check<O: Operation>(&mut self, op: &O) -> Result<usize, Error> {
        let images = self.slice.unwrap_or(self.step.images());
        if images == 0 {
            return Err(Error::Step(format!("{} before a step with images has begun", O::NAME)));
        }
        op.check(images, &|region| self.memory.len(region))?;
        Ok(images)
    }

    /// Runs operations in order; updates that follow each other together.
    fn run_all(&mut self, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
        let mut updates = Vec::new();
        for Planned { op, images, .. } in operations {
            if let Op::Update(update) = op {
                updates.push(update);
            } else {
                self.update_all(&std::mem::take(&mut updates))?;
                self.slice = *images;
                let done = self.run(op);
                self.slice = None;
                done?;
            }
        }
        self.update_all(&updates)
    }

    fn update_all(&mut self, ops: &[&Update]) -> Result<(), Error> {
        for op in ops {
            self.check(*op)?;
            op.rate(&self.step)?;
        }
        update::update(self, ops)
    }

    /// Launches a kernel on the stream of the step.
    ///
    /// # Safety
    /// As [`Stream::launch`]: the arguments keep the kernel's contract.
    unsafe fn launch(
        &self,
        kernel: &'static kernels_gpu::Kernel,
        grid: [u32; 3],
        arguments: &[Argument<'_>],
    ) -> Result<(), Error> {
        // SAFETY: the caller's word; the memory is the device's own and lives as long.
        Ok(unsafe { self.stream.launch(self.functions[kernel.name], grid, arguments) }?)
    }

    /// At least `bytes` of scratch memory; contents do not outlive the operation.
    fn scratch(&mut self, what: Scratch, bytes: usize) -> Result<u64, Error> {
        let scratch = &mut self.scratch[what as usize];
        if scratch.as_ref().is_none_or(|scratch| scratch.len() < bytes) {
            self.stream.synchronize()?;
            self.graphs.clear();
            *scratch = None;
            *scratch = Some(Buffer::zeroed(&self.context, bytes)?);
        }
        Ok(scratch.as_ref().map_or(0, Buffer::address))
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // With a deadline, before memory is freed, which would wait without one.
        let _ = self.stream.synchronize();
    }
}

/// What scratch memory is for.
#[derive(Clone, Copy)]
enum Scratch {
    /// Partial sums of split reductions.
    Parts,
    /// A strided convolution over blocks of pixels.
    Blocks,
}

impl Device for Cuda {
    fn prefers_blocks(&self, shape: &ConvShape) -> bool {
        blocks::suit(self.precision(), shape)
    }

    fn reserve(&mut self, span: Span) -> Result<(), Error> {
        self.stream.synchronize()?;
        self.graphs.clear();
        self.memory.reserve(span.region, span.end())
    }

    fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
        self.blamed(self.stream.synchronize(), None)?;
        self.memory.write(span, data)
    }

    fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
        self.blamed(self.stream.synchronize(), None)?;
        self.memory.read(span, data)
    }

    fn begin(&mut self, step: &mut Step) -> Result<(), Error> {
        step.check()?;
        if self.inputs.reserve(step)? {
            self.graphs.clear();
        }
        let given = self.inputs.upload(step, &self.stream);
        self.blamed(given, None)?;
        std::mem::swap(&mut self.step, step);
        Ok(())
    }

    fn augment(&mut self, op: &Augment) -> Result<(), Error> {
        let images = self.check(op)?;
        op.check_step(&self.step)?;
        augment::forward(self, op, images)
    }

    fn conv_forward(&mut self, op: &ConvForward) -> Result<(), Error> {
        let images = self.check(op)?;
        conv::forward(self, op, images)
    }

    fn conv_input_grad(&mut self, op: &ConvInputGrad) -> Result<(), Error> {
        let images = self.check(op)?;
        conv::input_grad(self, op, images)
    }

    fn conv_weight_grad(&mut self, op: &ConvWeightGrad) -> Result<(), Error> {
        let images = self.check(op)?;
        conv::weight_grad(self, op, images)
    }

    fn fc_forward(&mut self, op: &FcForward) -> Result<(), Error> {
        let images = self.check(op)?;
        fc::forward(self, op, images)
    }

    fn fc_input_grad(&mut self, op: &FcInputGrad) -> Result<(), Error> {
        let images = self.check(op)?;
        fc::input_grad(self, op, images)
    }

    fn fc_weight_grad(&mut self, op: &FcWeightGrad) -> Result<(), Error> {
        let images = self.check(op)?;
        fc::weight_grad(self, op, images)
    }

    fn fc_weight_update(&mut self, op: &FcWeightUpdate) -> Result<(), Error> {
        let images = self.check(op)?;
        op.check_step(&self.step)?;
        fc_update::weight_update(self, op, images)
    }

    fn activation_forward(&mut self, op: &ActivationForward) -> Result<(), Error> {
        let images = self.check(op)?;
        activation::forward(self, op, images)
    }

    fn activation_backward(&mut self, op: &ActivationBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        activation::backward(self, op, images)
    }

    fn lrn_forward(&mut self, op: &LrnForward) -> Result<(), Error> {
        let images = self.check(op)?;
        lrn::forward(self, op, images)
    }

    fn lrn_backward(&mut self, op: &LrnBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        lrn::backward(self, op, images)
    }

    fn lrn_pool_forward(&mut self, _: &LrnPoolForward) -> Result<(), Error> {
        Err(Error::NotPooled { op: LrnPoolForward::NAME })
    }

    fn lrn_pool_backward(&mut self, _: &LrnPoolBackward) -> Result<(), Error> {
        Err(Error::NotPooled { op: LrnPoolBackward::NAME })
    }

    fn map_norm_forward(&mut self, op: &MapNormForward) -> Result<(), Error> {
        let images = self.check(op)?;
        map_norm::forward(self, op, images)
    }

    fn map_norm_backward(&mut self, op: &MapNormBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        map_norm::backward(self, op, images)
    }

    fn pool_forward(&mut self, op: &PoolForward) -> Result<(), Error> {
        let images = self.check(op)?;
        pool::forward(self, op, images)
    }

    fn pool_backward(&mut self, op: &PoolBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        pool::backward(self, op, images)
    }

    fn dropout_forward(&mut self, op: &DropoutForward) -> Result<(), Error> {
        let images = self.check(op)?;
        dropout::forward(self, op, images)
    }

    fn dropout_backward(&mut self, op: &DropoutBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        dropout::backward(self, op, images)
    }

    fn softmax_forward(&mut self, op: &SoftmaxForward) -> Result<(), Error> {
        let images = self.check(op)?;
        op.check_step(&self.step)?;
        softmax::forward(self, op, images)
    }

    fn softmax_backward(&mut self, op: &SoftmaxBackward) -> Result<(), Error> {
        let images = self.check(op)?;
        softmax::backward(self, op, images)
    }

    fn add(&mut self, op: &Add) -> Result<(), Error> {
        let images = self.check(op)?;
        add::add(self, op, images)
    }

    fn update(&mut self, op: &Update) -> Result<(), Error> {
        self.update_all(&[op])
    }

    fn run_list(&mut self, list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
        let mut layers = Layers::of(list);
        let given = graphs::run_list(self, list, &mut operations.inspect(|planned| layers.note(planned)));
        self.blamed(given, Some(&layers))?;
        Ok(self.progress.give(layers, &self.stream, &self.context)?)
    }

    fn wait(&mut self) -> Result<(), Error> {
        while self.wait_for_list()? {}
        Ok(())
    }
}
