//! The step in the card's memory: what changes from step to step, at addresses that stay.
//!
//! Pixels are copied on a stream of their own, so that they arrive while the step before still computes gradients; the
//! rest is a few kilobytes, copied in the stream of the step, whose gradients still read the old ones until then.

use kernels_gpu::step::{Draw, StepInfo};
use rayon::prelude::*;

use crate::Error;
use crate::device::{Buffer, Context, Event, Pending, Pinned, Stream};
use crate::ops::Step;

/// A step's inputs on the card.
pub(super) struct StepMemory {
    pixels: Slot,
    /// [`StepInfo`], labels, ids, draws and rates, one behind the other.
    small: Slot,
    room: Room,
    /// Brings the pixels.
    copies: Stream,
    /// Recorded when the pixels have arrived.
    arrived: Event,
    /// Recorded behind what reads the pixels.
    read: Event,
    /// Whether something reads the pixels that the event is not behind of.
    in_use: bool,
    context: Context,
}

/// A buffer and the host's side of it.
struct Slot {
    buffer: Buffer,
    host: Host,
}

enum Host {
    Idle(Pinned<u32>),
    Copying(Pending<u32>),
    /// The driver failed in between.
    Lost,
}

/// For how many images and parameters there is room.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Room {
    images: usize,
    rates: usize,
    pixels: usize,
}

/// Words of a [`Draw`] and of a [`StepInfo`].
const DRAW: usize = size_of::<Draw>() / 4;
const INFO: usize = size_of::<StepInfo>() / 4;

impl Room {
    fn of(step: &Step) -> Room {
        Room { images: step.images(), rates: step.rates.len(), pixels: step.rgb.len() }
    }

    fn and(self, other: Room) -> Room {
        Room {
            images: self.images.max(other.images),
            rates: self.rates.max(other.rates),
            pixels: self.pixels.max(other.pixels),
        }
    }

    /// Where labels, ids, draws and rates begin, and where they end, in words.
    fn places(self) -> [usize; 5] {
        let labels = INFO;
        let ids = labels + self.images;
        let draws = ids + self.images;
        let rates = draws + self.images * DRAW;
        [labels, ids, draws, rates, rates + self.rates]
    }
}

/// Bytes that a thread copies at a time.
const COPY_BYTES: usize = 1 << 20;

impl Slot {
    fn new(context: &Context, words: usize) -> Result<Slot, Error> {
        let buffer = Buffer::zeroed(context, words * 4)?;
        Ok(Slot { buffer, host: Host::Idle(Pinned::zeroed(context, words)?) })
    }

    /// Fills the host's side and starts its copy.
    fn upload(&mut self, stream: &Stream, fill: impl FnOnce(&mut [u32])) -> Result<(), Error> {
        let mut host = match std::mem::replace(&mut self.host, Host::Lost) {
            Host::Idle(host) => host,
            Host::Copying(pending) => pending.wait()?,
            Host::Lost => Pinned::zeroed(self.buffer.context(), self.buffer.len() / 4)?,
        };
        fill(host.as_mut_slice());
        self.host = Host::Copying(stream.upload(host, self.buffer.part(0..self.buffer.len()))?);
        Ok(())
    }
}

impl StepMemory {
    pub(super) fn new(context: &Context) -> Result<StepMemory, Error> {
        let room = Room::default();
        Ok(StepMemory {
            pixels: Slot::new(context, 0)?,
            small: Slot::new(context, room.places()[4])?,
            room,
            copies: Stream::new(context)?,
            arrived: Event::new(context)?,
            read: Event::new(context)?,
            in_use: false,
            context: context.clone(),
        })
    }

    /// Makes room for a step; whether addresses have changed. Waits for the card if they have.
    pub(super) fn reserve(&mut self, step: &Step) -> Result<bool, Error> {
        let room = self.room.and(Room::of(step));
        if room == self.room {
            return Ok(false);
        }
        self.pixels = Slot::new(&self.context, room.pixels.div_ceil(4))?;
        self.small = Slot::new(&self.context, room.places()[4])?;
        self.room = room;
        Ok(true)
    }

    /// Starts the copies of a step, for which there is room, to the card. What is given to `stream` afterwards finds it
    /// there.
    pub(super) fn upload(&mut self, step: &Step, stream: &Stream) -> Result<(), Error> {
        if !step.rgb.is_empty() {
            if self.in_use {
                self.pixels_read(stream)?;
            }
            self.copies.wait(&self.read)?;
            // By several threads: one alone would be slower than the card.
            let fill = |host: &mut [u32]| {
                let host = &mut bytemuck::cast_slice_mut(host)[..step.rgb.len()];
                let pieces = host.par_chunks_mut(COPY_BYTES).zip(step.rgb.par_chunks(COPY_BYTES));
                pieces.for_each(|(host, rgb)| host.copy_from_slice(rgb));
            };
            self.pixels.upload(&self.copies, fill)?;
            self.copies.record(&self.arrived)?;
            stream.wait(&self.arrived)?;
        }
        let info = StepInfo {
            images: step.images() as u32,
            epoch: step.epoch,
            seed_lo: step.seed as u32,
            seed_hi: (step.seed >> 32) as u32,
        };
        let [labels, ids, draws, rates, _] = self.room.places();
        self.small.upload(stream, |host| {
            host[..INFO].copy_from_slice(&info.words());
            host[labels..][..step.labels.len()].copy_from_slice(&step.labels);
            host[ids..][..step.ids.len()].copy_from_slice(&step.ids);
            for (host, draw) in host[draws..].chunks_mut(DRAW).zip(&step.draws) {
                let crate::ops::Draw { top, left, flip, scale, shift } = *draw;
                host.copy_from_slice(&Draw { top, left, flip: u32::from(flip), scale, shift }.words());
            }
            host[rates..].iter_mut().zip(&step.rates).for_each(|(host, rate)| *host = rate.to_bits());
        })
    }

    /// Says that what `stream` was given so far reads the pixels, and nothing else does.
    pub(super) fn pixels_read(&mut self, stream: &Stream) -> Result<(), Error> {
        self.in_use = false;
        Ok(stream.record(&self.read)?)
    }

    /// Address of the pixels, for a kernel that will read them.
    pub(super) fn rgb(&mut self) -> u64 {
        self.in_use = true;
        self.pixels.buffer.address()
    }

    /// Address of the [`StepInfo`].
    pub(super) fn info(&self) -> u64 {
        self.small.buffer.address()
    }

    /// Address of the class of each image.
    pub(super) fn labels(&self) -> u64 {
        self.small_at(0)
    }

    /// Address of the identity of each image.
    pub(super) fn ids(&self) -> u64 {
        self.small_at(1)
    }

    /// Address of the [`Draw`] of each image.
    pub(super) fn draws(&self) -> u64 {
        self.small_at(2)
    }

    /// Address of the rate of each parameter.
    pub(super) fn rates(&self) -> u64 {
        self.small_at(3)
    }

    fn small_at(&self, place: usize) -> u64 {
        self.small.buffer.address() + self.room.places()[place] as u64 * 4
    }
}
