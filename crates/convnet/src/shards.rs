//! Several devices as one: each holds a shard of a network, some of its towers.
//!
//! One thread gives work to all devices: what it tells them for a list is worked out when the list is run for the first
//! time (`schedule.rs`, `slices.rs`), and carried out every time. A list, as a single operation, ends with all devices
//! behind their copies.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use crate::Error;
use crate::ops::{
    ActivationBackward, ActivationForward, Add, Augment, ConvForward, ConvInputGrad, ConvShape, ConvWeightGrad, Device,
    DropoutBackward, DropoutForward, Exchange, FcForward, FcInputGrad, FcWeightGrad, FcWeightUpdate, List, LrnBackward,
    LrnForward, LrnPoolBackward, LrnPoolForward, MapNormBackward, MapNormForward, Operation, Operations, Pass,
    PoolBackward, PoolForward, SoftmaxBackward, SoftmaxForward, Span, Step, Transfer, Update, for_each_operation,
};
use crate::schedule::{Task, known, shard_of, tasks};
use crate::slices;

/// A device that others of its kind can send to.
pub trait Shard: Device {
    /// Into how many slices of images a large exchange is cut, with what computes it and what reads it: 1 where copies do
    /// not run beside operations. A device for which it is more does
    /// [`Planned::images`](crate::ops::Planned::images) images of an operation in a list.
    const SLICES: usize;

    /// Starts to copy the first `len` floats of `from` to `to` on `receiver`, behind everything that this device was given
    /// so far, and that the receiver was, if `behind_receiver`. Copies to one device run one behind the other.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], and those of the device.
    fn send(
        &mut self,
        from: Span,
        receiver: &mut Self,
        to: Span,
        len: usize,
        behind_receiver: bool,
    ) -> Result<(), Error>;

    /// Lets what the device is given from now on come behind the copies to `receiver` that it takes part in, but for the
    /// newest `left`.
    ///
    /// # Errors
    /// Those of the device.
    fn settle(&mut self, receiver: usize, left: usize) -> Result<(), Error>;

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
    /// See [`Shard::SLICES`].
    slices: usize,
    /// For each list and number of images.
    tasks: HashMap<(Pass, usize), Vec<Task>>,
    /// Whom lists were given to that nobody has waited for, in order. A list needs earlier ones only, so the first that
    /// fails or does not end is where it began.
    given: VecDeque<usize>,
}

impl<D: Shard> Shards<D> {
    /// The devices, in the order of the shards.
    pub fn new(devices: Vec<D>) -> Shards<D> {
        let steps = vec![Step::default(); devices.len().saturating_sub(1)];
        let (tasks, given) = (HashMap::new(), VecDeque::new());
        Shards { devices, steps, images: 0, slices: D::SLICES, tasks, given }
    }

    /// The same with another number of [`Shard::SLICES`]: over fast links they are worth nothing.
    pub fn in_slices(self, slices: usize) -> Shards<D> {
        Shards { slices, ..self }
    }

    fn device(&mut self, shard: usize) -> Result<&mut D, Error> {
        let shard = known(shard, self.devices.len())?;
        Ok(&mut self.devices[shard])
    }

    /// The end of what copies were part of, done or failed: all devices come behind them.
    fn settled(&mut self, mut done: Result<(), Error>) -> Result<(), Error> {
        let receivers = self.devices.len();
        for device in &mut self.devices {
            for receiver in 0..receivers {
                done = done.and(device.settle(receiver, 0));
            }
        }
        done
    }
}

/// Starts a copy.
fn send<D: Shard>(devices: &mut [D], transfer: Transfer, len: usize, behind_receiver: bool) -> Result<(), Error> {
    let Transfer { from, to } = transfer;
    let no_shard = Error::NoShard { shard: from.shard.max(to.shard), devices: devices.len() };
    let [sender, receiver] = devices.get_disjoint_mut([from.shard, to.shard]).map_err(|_| no_shard)?;
    sender.send(from, receiver, to, len, behind_receiver)
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
                // For another plan.
                self.tasks.clear();
                self.device(span.shard)?.reserve(span)
            }

            fn write(&mut self, span: Span, data: &[f32]) -> Result<(), Error> {
                self.device(span.shard)?.write(span, data)
            }

            fn read(&self, span: Span, data: &mut [f32]) -> Result<(), Error> {
                self.devices[known(span.shard, self.devices.len())?].read(span, data)
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
                    self.device(shard_of(&op.operands()))?.$method(op)
                }
            )*

            fn exchange(&mut self, op: &Exchange) -> Result<(), Error> {
                op.check_shapes(self.images)?;
                let len = op.len * self.images;
                let mut transfers = op.transfers.iter();
                let done = transfers.try_for_each(|&transfer| send(&mut self.devices, transfer, len, true));
                self.settled(done)
            }

            fn wait(&mut self) -> Result<(), Error> {
                while let Some(shard) = self.given.pop_front() {
                    self.device(shard)?.wait_for_list()?;
                }
                Ok(())
            }

            fn run_list(&mut self, list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
                let devices = self.devices.len();
                let tasks = match self.tasks.entry((list.pass, self.images)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => {
                        let cut = slices::cut(&operations.collect::<Vec<_>>(), self.images, self.slices);
                        place.insert(tasks(cut, list.pass, self.images, devices)?)
                    }
                };
                let done = tasks.iter().try_for_each(|task| match task {
                    Task::Run { shard, list, operations } => {
                        self.given.push_back(*shard);
                        self.devices[*shard].run_list(*list, &mut operations.iter())
                    }
                    &Task::Send { transfer, len, behind_receiver } => {
                        send(&mut self.devices, transfer, len, behind_receiver)
                    }
                    &Task::Settle { shard, receiver, left } => self.devices[shard].settle(receiver, left),
                });
                self.settled(done)
            }
        }
    };
}
for_each_operation!(device);
