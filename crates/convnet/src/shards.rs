//! Several devices as one: each holds a shard of a network, some of its towers.
//!
//! One thread gives work to all devices. A device gets what it has to do up to the next exchange as one list; then the
//! copies are started, and a device waits for them only before an operation that touches what is under way. What stands
//! between (the gradients of weights, behind an exchange of gradients) is computed while copies run.

use std::collections::VecDeque;

use crate::Error;
use crate::ops::{
    Access, ActivationBackward, ActivationForward, Add, Augment, ConvForward, ConvInputGrad, ConvShape, ConvWeightGrad,
    Device, DropoutBackward, DropoutForward, Exchange, FcForward, FcInputGrad, FcWeightGrad, FcWeightUpdate, List,
    LrnBackward, LrnForward, LrnPoolBackward, LrnPoolForward, MapNormBackward, MapNormForward, Op, Operation,
    Operations, Planned, PoolBackward, PoolForward, SoftmaxBackward, SoftmaxForward, Span, Step, Update,
    for_each_operation,
};

/// A device that others of its kind can send to.
pub trait Shard: Device {
    /// Starts to copy the first `len` floats of `from` to `to` on `receiver`, behind everything that both devices were
    /// given so far.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], and those of the device.
    fn send(&mut self, from: Span, receiver: &mut Self, to: Span, len: usize) -> Result<(), Error>;

    /// Lets what the device is given from now on come behind the copies that it sends and receives.
    ///
    /// # Errors
    /// Those of the device.
    fn settle(&mut self) -> Result<(), Error>;

    /// Waits for the oldest list that the device was given and that nobody has waited for; whether there was one.
    ///
    /// # Errors
    /// Those of the device.
    fn wait_for_list(&mut self) -> Result<bool, Error>;
}

/// Devices that compute a network together.
pub struct Shards<D> {
    devices: Vec<D>,
    /// The step, for each device but the first.
    steps: Vec<Step>,
    images: usize,
    under_way: UnderWay,
    /// Whom lists were given to that nobody has waited for, in order. A list needs earlier ones only, so the first that
    /// fails or does not end is where it began.
    given: VecDeque<usize>,
}

/// What copies under way read and write.
#[derive(Default)]
struct UnderWay(Vec<(Access, Span)>);

impl UnderWay {
    /// Whether an operation touches what is written, or writes what is read.
    fn meets(&self, operands: &[(Access, Span)]) -> bool {
        let meets = |access: Access, span: &Span| {
            let conflicts = |copy: Access| copy == Access::Write || access != Access::Read;
            self.0.iter().any(|(copy, other)| conflicts(*copy) && span.overlaps(other))
        };
        operands.iter().any(|(access, span)| meets(*access, span))
    }

    /// Forgets what `shard` has waited for.
    fn forget(&mut self, shard: usize) {
        self.0.retain(|(_, span)| span.shard != shard);
    }
}

impl<D: Shard> Shards<D> {
    /// The devices, in the order of the shards.
    pub fn new(devices: Vec<D>) -> Shards<D> {
        let steps = vec![Step::default(); devices.len().saturating_sub(1)];
        Shards { devices, steps, images: 0, under_way: UnderWay::default(), given: VecDeque::new() }
    }

    fn device(&mut self, shard: usize) -> Result<&mut D, Error> {
        let devices = self.devices.len();
        self.devices.get_mut(shard).ok_or(Error::NoShard { shard, devices })
    }

    /// The device of an operation, which has waited for the copies that the operation meets.
    fn ready(&mut self, op: &impl Operation) -> Result<&mut D, Error> {
        let operands = op.operands();
        let shard = shard_of(&operands);
        if self.under_way.meets(&operands) {
            self.settle(shard)?;
        }
        self.device(shard)
    }

    fn settle(&mut self, shard: usize) -> Result<(), Error> {
        self.under_way.forget(shard);
        self.device(shard)?.settle()
    }

    /// Waits for the copies that meet a read or a write of the host.
    fn settle_all(&mut self) -> Result<(), Error> {
        (0..self.devices.len()).try_for_each(|shard| self.settle(shard))
    }
}

/// The shard of an operation: its operands are all on one.
fn shard_of(operands: &[(Access, Span)]) -> usize {
    operands.first().map_or(0, |(_, span)| span.shard)
}

macro_rules! device {
    ($($(#[$doc:meta])* $op:ident => $method:ident),* $(,)?) => {
        impl<D: Shard> Device for Shards<D> {
            fn shards(&self) -> usize {
                self.devices.len()
            }

            fn prefers_blocks(&self, shape: &ConvShape) -> bool {
                self.devices.iter().all(|device| device.prefers_blocks(shape))
            }

            fn pools_normalised(&self) -> bool {
                self.devices.iter().all(Device::pools_normalised)
            }

            fn reserve(&mut self, span: Span) -> Result<(), Error> {
                self.settle_all()?;
                self.device(span.shard)?.reserve(span)
            }

            fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
                self.settle_all()?;
                self.device(span.shard)?.write(span, data)
            }

            fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
                let (shard, devices) = (span.shard, self.devices.len());
                self.devices.get(shard).ok_or(Error::NoShard { shard, devices })?.read(span, data)
            }

            fn begin(&mut self, step: &mut Step) -> Result<(), Error> {
                self.images = step.images();
                let Some((first, others)) = self.devices.split_first_mut() else { return Ok(()) };
                for (device, own) in others.iter_mut().zip(&mut self.steps) {
                    own.copy_from(step);
                    device.begin(own)?;
                }
                first.begin(step)
            }

            $(
                fn $method(&mut self, op: &$op) -> Result<(), Error> {
                    self.ready(op)?.$method(op)
                }
            )*

            fn exchange(&mut self, op: &Exchange) -> Result<(), Error> {
                op.check_shapes(self.images)?;
                for transfer in &op.transfers {
                    let (from, to) = (transfer.from, transfer.to);
                    // Earlier copies may still read where this one writes: memory is used again.
                    if self.under_way.meets(&[(Access::Read, from), (Access::Write, to)]) {
                        self.settle(from.shard)?;
                        self.settle(to.shard)?;
                    }
                    let devices = self.devices.len();
                    let pair = self.devices.get_disjoint_mut([from.shard, to.shard]);
                    let [sender, receiver] = pair.map_err(|_| Error::NoShard { shard: from.shard.max(to.shard), devices })?;
                    sender.send(from, receiver, to, op.len * self.images)?;
                    self.under_way.0.extend([(Access::Read, from), (Access::Write, to)]);
                }
                Ok(())
            }

            fn wait(&mut self) -> Result<(), Error> {
                while let Some(shard) = self.given.pop_front() {
                    self.device(shard)?.wait_for_list()?;
                }
                Ok(())
            }

            fn run_list(&mut self, list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
                let mut waiting: Vec<Vec<&Planned>> = vec![Vec::new(); self.devices.len()];
                let mut part = list.part;
                for planned in operations {
                    if let Op::Exchange(exchange) = &planned.op {
                        for (shard, operations) in waiting.iter_mut().enumerate() {
                            self.run_part(shard, List { part, ..list }, operations)?;
                        }
                        part += 1;
                        self.exchange(exchange)?;
                        continue;
                    }
                    let operands = planned.op.operands();
                    let (shard, devices) = (shard_of(&operands), self.devices.len());
                    let operations = waiting.get_mut(shard).ok_or(Error::NoShard { shard, devices })?;
                    if self.under_way.meets(&operands) {
                        self.run_part(shard, List { part, ..list }, operations)?;
                        part += 1;
                        self.settle(shard)?;
                    }
                    operations.push(planned);
                }
                for (shard, operations) in waiting.iter_mut().enumerate() {
                    self.run_part(shard, List { part, ..list }, operations)?;
                }
                Ok(())
            }
        }
    };
}
for_each_operation!(device);

impl<D: Shard> Shards<D> {
    /// Runs what a device has to do before it waits, if anything.
    fn run_part(&mut self, shard: usize, list: List, operations: &mut Vec<&Planned>) -> Result<(), Error> {
        if operations.is_empty() {
            return Ok(());
        }
        self.given.push_back(shard);
        self.device(shard)?.run_list(list, &mut operations.drain(..))
    }
}
