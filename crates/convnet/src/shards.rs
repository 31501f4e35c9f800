//! Several devices as one: each holds a shard of a network, some of its towers.
//!
//! One thread gives work to all devices. A device gets what it has to do up to the next exchange as one list; then the
//! copies are started, and a device waits for them only before an operation that touches what is under way, and for no
//! later ones. What stands between (the gradients of weights, behind an exchange of gradients) is computed while copies
//! run, and so are other slices of the batch, where exchanges are cut (`slices.rs`).

use std::borrow::Cow;
use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::Error;
use crate::ops::{
    Access, ActivationBackward, ActivationForward, Add, Augment, ConvForward, ConvInputGrad, ConvShape, ConvWeightGrad,
    Device, DropoutBackward, DropoutForward, Exchange, FcForward, FcInputGrad, FcWeightGrad, FcWeightUpdate, List,
    LrnBackward, LrnForward, LrnPoolBackward, LrnPoolForward, MapNormBackward, MapNormForward, Op, Operation,
    Operations, Planned, PoolBackward, PoolForward, SoftmaxBackward, SoftmaxForward, Span, Step, Transfer, Update,
    for_each_operation,
};
use crate::slices::Section;

/// A device that others of its kind can send to.
pub trait Shard: Device {
    /// Into how many slices of images a large exchange is cut, with what computes it and what reads it: 1 where copies do
    /// not run beside operations. A device for which it is more does [`Planned::images`] images of an operation in a list.
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

    /// Lets what the device is given from now on come behind the oldest `copies` copies to `receiver` of those that it
    /// takes part in and that this was not called for.
    ///
    /// # Errors
    /// Those of the device.
    fn settle(&mut self, receiver: usize, copies: usize) -> Result<(), Error>;

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
    /// For each device, and each receiver, what copies to that one read or write here, oldest first.
    under_way: Vec<Vec<UnderWay>>,
    /// For each device, what it was given operations on that copies to it are not behind of.
    touched: Vec<Vec<Span>>,
    /// Whom lists were given to that nobody has waited for, in order. A list needs earlier ones only, so the first that
    /// fails or does not end is where it began.
    given: VecDeque<usize>,
}

/// What copies to one device read or write on one device, oldest first.
#[derive(Clone, Default)]
struct UnderWay(VecDeque<(Access, Span)>);

impl UnderWay {
    /// How many copies to wait for, from the oldest, before an operation that touches what is written, or writes what is
    /// read.
    fn met(&self, operands: &[(Access, Span)]) -> usize {
        let meets = |(copy, other): &(Access, Span)| {
            let conflicts = |access: Access| *copy == Access::Write || access != Access::Read;
            operands.iter().any(|(access, span)| conflicts(*access) && span.overlaps(other))
        };
        self.0.iter().rposition(meets).map_or(0, |last| last + 1)
    }
}

impl<D: Shard> Shards<D> {
    /// The devices, in the order of the shards.
    pub fn new(devices: Vec<D>) -> Shards<D> {
        let steps = vec![Step::default(); devices.len().saturating_sub(1)];
        let under_way = vec![vec![UnderWay::default(); devices.len()]; devices.len()];
        let touched = vec![Vec::new(); devices.len()];
        Shards { devices, steps, images: 0, slices: D::SLICES, under_way, touched, given: VecDeque::new() }
    }

    /// The same with another number of [`Shard::SLICES`]: over fast links they are worth nothing.
    pub fn in_slices(self, slices: usize) -> Shards<D> {
        Shards { slices, ..self }
    }

    /// A shard, if there is a device for it.
    fn known(&self, shard: usize) -> Result<usize, Error> {
        let devices = self.devices.len();
        if shard < devices { Ok(shard) } else { Err(Error::NoShard { shard, devices }) }
    }

    fn device(&mut self, shard: usize) -> Result<&mut D, Error> {
        let shard = self.known(shard)?;
        Ok(&mut self.devices[shard])
    }

    /// The device of an operation, which has waited for the copies that the operation meets.
    fn ready(&mut self, op: &impl Operation) -> Result<&mut D, Error> {
        let operands = op.operands();
        let shard = self.known(shard_of(&operands))?;
        self.settle(shard, &self.met(shard, &operands))?;
        self.note(shard, &operands);
        self.device(shard)
    }

    /// For each receiver of copies that an operation meets, how many of them.
    fn met(&self, shard: usize, operands: &[(Access, Span)]) -> SmallVec<[(usize, usize); 2]> {
        let receivers = self.under_way[shard].iter().enumerate();
        receivers.map(|(receiver, copies)| (receiver, copies.met(operands))).filter(|(_, copies)| *copies > 0).collect()
    }

    /// See [`Shard::settle`].
    fn settle(&mut self, shard: usize, met: &[(usize, usize)]) -> Result<(), Error> {
        for &(receiver, copies) in met {
            let over: Vec<_> = self.under_way[shard][receiver].0.drain(..copies).collect();
            self.note(shard, &over);
            self.device(shard)?.settle(receiver, copies)?;
        }
        Ok(())
    }

    /// A device is given an operation on these spans, or comes behind a copy of them.
    fn note(&mut self, shard: usize, operands: &[(Access, Span)]) {
        let touched = &mut self.touched[shard];
        for (_, span) in operands {
            if !touched.contains(span) {
                touched.push(*span);
            }
        }
    }

    /// Waits for the copies that meet a read or a write of the host.
    fn settle_all(&mut self) -> Result<(), Error> {
        for shard in 0..self.devices.len() {
            let all = self.under_way[shard].iter().map(|copies| copies.0.len()).enumerate();
            let all: Vec<_> = all.filter(|(_, copies)| *copies > 0).collect();
            self.settle(shard, &all)?;
        }
        Ok(())
    }

    /// Starts the copies of `images` images.
    fn send(&mut self, op: &Exchange, images: usize) -> Result<(), Error> {
        op.check_shapes(images)?;
        let devices = self.devices.len();
        for &Transfer { from, to } in &op.transfers {
            let shard = self.known(from.shard.max(to.shard))?;
            // Earlier copies may still read where this one writes: memory is used again.
            for (access, span) in [(Access::Read, from), (Access::Write, to)] {
                self.settle(span.shard, &self.met(span.shard, &[(access, span)]))?;
            }
            let pair = self.devices.get_disjoint_mut([from.shard, to.shard]);
            let [sender, receiver] = pair.map_err(|_| Error::NoShard { shard, devices })?;
            let behind_receiver = self.touched[to.shard].iter().any(|span| span.overlaps(&to));
            sender.send(from, receiver, to, op.len * images, behind_receiver)?;
            if behind_receiver {
                self.touched[to.shard].clear();
            }
            self.under_way[from.shard][to.shard].0.push_back((Access::Read, from));
            self.under_way[to.shard][to.shard].0.push_back((Access::Write, to));
        }
        Ok(())
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
                self.devices[self.known(span.shard)?].read(span, data)
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
                self.send(op, self.images)
            }

            fn wait(&mut self) -> Result<(), Error> {
                while let Some(shard) = self.given.pop_front() {
                    self.device(shard)?.wait_for_list()?;
                }
                Ok(())
            }

            fn run_list(&mut self, list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
                if self.slices < 2 {
                    return self.run_parts(list, operations);
                }
                let cut = cut(&operations.collect::<Vec<_>>(), self.images, self.slices);
                self.run_parts(list, &mut cut.iter().map(AsRef::as_ref))
            }
        }
    };
}
for_each_operation!(device);

/// A list with its sections cut into slices.
fn cut<'a>(list: &[&'a Planned], images: usize, slices: usize) -> Vec<Cow<'a, Planned>> {
    let mut all = Vec::new();
    let mut done = 0;
    for section in Section::all(list.iter().copied()) {
        let range = section.range();
        all.extend(list[done..range.start].iter().map(|&planned| Cow::Borrowed(planned)));
        all.extend(section.cut(&list[range.clone()], images, slices).into_iter().map(Cow::Owned));
        done = range.end;
    }
    all.extend(list[done..].iter().map(|&planned| Cow::Borrowed(planned)));
    all
}

impl<D: Shard> Shards<D> {
    /// Runs a list, in parts for each device.
    fn run_parts(&mut self, list: List, operations: &mut Operations<'_, '_>) -> Result<(), Error> {
        let mut waiting: Vec<Vec<&Planned>> = vec![Vec::new(); self.devices.len()];
        let mut part = list.part;
        for planned in operations {
            if let Op::Exchange(exchange) = &planned.op {
                for (shard, operations) in waiting.iter_mut().enumerate() {
                    self.run_part(shard, List { part, ..list }, operations)?;
                }
                part += 1;
                self.send(exchange, planned.images.unwrap_or(self.images))?;
                continue;
            }
            let operands = planned.op.operands();
            let shard = self.known(shard_of(&operands))?;
            let operations = &mut waiting[shard];
            let met = self.met(shard, &operands);
            if !met.is_empty() {
                self.run_part(shard, List { part, ..list }, operations)?;
                part += 1;
                self.settle(shard, &met)?;
            }
            self.note(shard, &operands);
            operations.push(planned);
        }
        for (shard, operations) in waiting.iter_mut().enumerate() {
            self.run_part(shard, List { part, ..list }, operations)?;
        }
        Ok(())
    }

    /// Runs what a device has to do before it waits, if anything.
    fn run_part(&mut self, shard: usize, list: List, operations: &mut Vec<&Planned>) -> Result<(), Error> {
        if operations.is_empty() {
            return Ok(());
        }
        self.given.push_back(shard);
        self.device(shard)?.run_list(list, &mut operations.drain(..))
    }
}
