//! The interface of devices: one method for each operation.

use super::{
    Access, ActivationBackward, ActivationForward, Add, Augment, ConvForward, ConvInputGrad, ConvShape, ConvWeightGrad,
    DropoutBackward, DropoutForward, Exchange, FcForward, FcInputGrad, FcWeightGrad, FcWeightUpdate, LrnBackward,
    LrnForward, LrnPoolBackward, LrnPoolForward, MapNormBackward, MapNormForward, Operation, PoolBackward, PoolForward,
    Region, SoftmaxBackward, SoftmaxForward, Span, Step, Update,
};
use crate::Error;

/// The passes that a network runs again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The forward pass of a training step.
    Forward,
    /// The gradients and updates of a training step.
    Backward,
    /// A forward pass without dropout.
    Inference,
}

/// A list of operations that a device runs again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct List {
    /// The pass it belongs to.
    pub pass: Pass,
    /// Which part of the pass: one of several devices gets what it has to do between two exchanges.
    pub part: usize,
}

impl List {
    /// A whole pass.
    pub fn whole(pass: Pass) -> List {
        List { pass, part: 0 }
    }
}

/// An operation and the layer it belongs to.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The layer's name.
    pub layer: String,
    /// The operation.
    pub op: Op,
    /// How many images it is about: all of the step, but where [`Shards`](crate::shards::Shards) has cut a batch.
    pub images: Option<usize>,
}

impl Planned {
    /// An operation on all images of a step.
    pub fn new(layer: &str, op: Op) -> Planned {
        Planned { layer: layer.to_string(), op, images: None }
    }
}

/// The operations of a list, in order.
pub type Operations<'list, 'op> = dyn Iterator<Item = &'op Planned> + Send + 'list;

macro_rules! operations {
    ($($(#[$doc:meta])* $op:ident => $method:ident),* $(,)?) => {
        /// One operation of a plan.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Op {
            $($(#[$doc])* $op($op),)*
            /// Copies between shards; what [`Shards`](crate::shards::Shards) does with several devices.
            Exchange(Exchange),
        }

        impl Op {
            /// The operation's name.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$op(_) => $op::NAME,)* Op::Exchange(_) => Exchange::NAME }
            }

            /// Calls `f` with every span and how it is used.
            pub fn visit(&mut self, f: &mut dyn FnMut(Access, &mut Span)) {
                match self { $(Op::$op(op) => op.visit(f),)* Op::Exchange(op) => op.visit(f) }
            }

            /// See [`Operation::operands`].
            pub fn operands(&self) -> Vec<(Access, Span)> {
                match self { $(Op::$op(op) => op.operands(),)* Op::Exchange(op) => op.operands() }
            }

            /// See [`Operation::check_step`].
            ///
            /// # Errors
            /// As [`Operation::check_step`].
            pub fn check_step(&self, step: &Step) -> Result<(), Error> {
                match self { $(Op::$op(op) => op.check_step(step),)* Op::Exchange(op) => op.check_step(step) }
            }

            /// See [`Operation::check`].
            ///
            /// # Errors
            /// As [`Operation::check`].
            pub fn check(&self, images: usize, available: &dyn Fn(Region) -> usize) -> Result<(), Error> {
                match self {
                    $(Op::$op(op) => op.check(images, available),)*
                    Op::Exchange(op) => op.check(images, available),
                }
            }
        }

        /// A device: memory, and one method per operation.
        ///
        /// Every method checks its operation against the memory and the current step ([`Operation::check`]), and
        /// reads `n`, labels, ids, draws, seed and rates from the step that [`Device::begin`] set.
        pub trait Device {
            /// How many devices stand behind this one, each with a shard of the plan.
            fn shards(&self) -> usize {
                1
            }
            /// Whether a plan for this device should have the input of a first layer of this shape in
            /// [`Blocks`](super::Blocks).
            fn prefers_blocks(&self, _shape: &ConvShape) -> bool {
                false
            }
            /// Whether normalisation across maps and the pooling behind it are one operation on this device.
            fn pools_normalised(&self) -> bool {
                false
            }
            /// Makes a region long enough for `span`. New memory is zero; old contents stay.
            ///
            /// # Errors
            /// [`Error::OutOfMemory`].
            fn reserve(&mut self, span: Span) -> Result<(), Error>;
            /// Copies `data` to the start of `span`.
            ///
            /// # Errors
            /// [`Error::OutOfRange`] when `data` or the span does not fit.
            fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error>;
            /// Copies the start of `span` into `data`.
            ///
            /// # Errors
            /// [`Error::OutOfRange`] when `data` or the span does not fit.
            fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error>;
            /// Makes `step` the current one. It is swapped in, so that its buffers can be used again:
            /// afterwards `step` holds the previous one.
            ///
            /// # Errors
            /// [`Error::Step`] when the parts of the step disagree about the number of images.
            fn begin(&mut self, step: &mut Step) -> Result<(), Error>;
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As [`Operation::check`].
                fn $method(&mut self, op: &$op) -> Result<(), Error>;
            )*

            /// Copies between shards.
            ///
            /// # Errors
            /// As [`Operation::check`], and [`Error::OneShard`] where there is one device.
            fn exchange(&mut self, _op: &Exchange) -> Result<(), Error> {
                Err(Error::OneShard)
            }

            /// Runs one operation of a plan.
            ///
            /// # Errors
            /// As the operation's own method.
            fn run(&mut self, op: &Op) -> Result<(), Error> {
                match op { $(Op::$op(op) => self.$method(op),)* Op::Exchange(op) => self.exchange(op) }
            }

            /// Runs operations in order. A device may keep what it prepares for a list: it has the same operations
            /// every time.
            ///
            /// # Errors
            /// Those of the operations.
            fn run_list(&mut self, _list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
                for planned in operations {
                    self.run(&planned.op)?;
                }
                Ok(())
            }

            /// Waits until the lists that it was given are done. Other calls that need that wait, too; this one can tell
            /// where a device failed.
            ///
            /// # Errors
            /// Those of the device.
            fn wait(&mut self) -> Result<(), Error> {
                Ok(())
            }
        }

        impl<D: Device + ?Sized> Device for Box<D> {
            fn shards(&self) -> usize {
                (**self).shards()
            }

            fn prefers_blocks(&self, shape: &ConvShape) -> bool {
                (**self).prefers_blocks(shape)
            }

            fn pools_normalised(&self) -> bool {
                (**self).pools_normalised()
            }

            fn reserve(&mut self, span: Span) -> Result<(), Error> {
                (**self).reserve(span)
            }

            fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
                (**self).write(span, data)
            }

            fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
                (**self).read(span, data)
            }

            fn begin(&mut self, step: &mut Step) -> Result<(), Error> {
                (**self).begin(step)
            }

            $(
                fn $method(&mut self, op: &$op) -> Result<(), Error> {
                    (**self).$method(op)
                }
            )*

            fn exchange(&mut self, op: &Exchange) -> Result<(), Error> {
                (**self).exchange(op)
            }

            fn run_list(&mut self, list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
                (**self).run_list(list, operations)
            }

            fn wait(&mut self) -> Result<(), Error> {
                (**self).wait()
            }
        }
    };
}

/// Gives every operation that one device does, and its method, to a macro.
macro_rules! for_each_operation {
    ($macro:ident) => {
        $macro! {
            /// Crops, flips and shifts the batch's u8 pixels into the network's input.
            Augment => augment,
            /// Convolution with bias, and an activation where the plan fused one.
            ConvForward => conv_forward,
            /// Gradient of a convolution's inputs.
            ConvInputGrad => conv_input_grad,
            /// Gradient of a convolution's weights and bias.
            ConvWeightGrad => conv_weight_grad,
            /// Fully connected layer with bias, and an activation where the plan fused one.
            FcForward => fc_forward,
            /// Gradient of a fully connected layer's inputs.
            FcInputGrad => fc_input_grad,
            /// Gradient of a fully connected layer's weights and bias.
            FcWeightGrad => fc_weight_grad,
            /// Gradient of a fully connected layer's bias, and update of its weights by theirs.
            FcWeightUpdate => fc_weight_update,
            /// ReLU or scaled tanh.
            ActivationForward => activation_forward,
            /// Gradient of an activation, from its output.
            ActivationBackward => activation_backward,
            /// Local response normalisation across maps (paper, section 3.3).
            LrnForward => lrn_forward,
            /// Gradient of [`LrnForward`].
            LrnBackward => lrn_backward,
            /// [`LrnForward`] and [`PoolForward`] of its outputs, where [`Device::pools_normalised`].
            LrnPoolForward => lrn_pool_forward,
            /// Gradient of [`LrnPoolForward`].
            LrnPoolBackward => lrn_pool_backward,
            /// Local response normalisation within each map (`rnorm` of the 2012 code).
            MapNormForward => map_norm_forward,
            /// Gradient of [`MapNormForward`].
            MapNormBackward => map_norm_backward,
            /// Max pooling (paper, section 3.4).
            PoolForward => pool_forward,
            /// Gradient of [`PoolForward`].
            PoolBackward => pool_backward,
            /// Dropout (paper, section 4.2).
            DropoutForward => dropout_forward,
            /// Gradient of [`DropoutForward`].
            DropoutBackward => dropout_backward,
            /// Softmax with cross-entropy.
            SoftmaxForward => softmax_forward,
            /// Gradient of the mean cross-entropy.
            SoftmaxBackward => softmax_backward,
            /// Adds partial gradients that came from other shards.
            Add => add,
            /// Momentum update with weight decay (paper, section 5).
            Update => update,
        }
    };
}
pub(crate) use for_each_operation;

for_each_operation!(operations);
