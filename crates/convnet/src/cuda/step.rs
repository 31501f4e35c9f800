//! The step in the card's memory: what changes from step to step, at addresses that stay.

use bytemuck::Pod;
use kernels_gpu::step::{Draw, StepInfo};

use crate::Error;
use crate::device::{Buffer, Context};
use crate::ops::Step;

/// A step's inputs on the card. A buffer grows to the largest step and stays.
pub(super) struct StepMemory {
    /// One [`StepInfo`].
    pub(super) info: Buffer,
    /// The class of each image.
    pub(super) labels: Buffer,
    /// The identity of each image.
    pub(super) ids: Buffer,
    /// A [`Draw`] for each image.
    pub(super) draws: Buffer,
    /// The rate of each parameter.
    pub(super) rates: Buffer,
    /// Pixels.
    pub(super) rgb: Buffer,
    context: Context,
}

impl StepMemory {
    pub(super) fn new(context: &Context) -> Result<StepMemory, Error> {
        let empty = || Buffer::zeroed(context, 0);
        let (info, labels, ids) = (empty()?, empty()?, empty()?);
        let (draws, rates, rgb) = (empty()?, empty()?, empty()?);
        Ok(StepMemory { info, labels, ids, draws, rates, rgb, context: context.clone() })
    }

    /// Copies a step to the card, where no kernel may be running. Says whether a buffer has moved.
    pub(super) fn upload(&mut self, step: &Step) -> Result<bool, Error> {
        let info = StepInfo {
            images: step.images() as u32,
            epoch: step.epoch,
            seed_lo: step.seed as u32,
            seed_hi: (step.seed >> 32) as u32,
        };
        let draw = |draw: &crate::ops::Draw| {
            let crate::ops::Draw { top, left, flip, scale, shift } = *draw;
            Draw { top, left, flip: u32::from(flip), scale, shift }.words()
        };
        let draws: Vec<[u32; 7]> = step.draws.iter().map(draw).collect();
        let moved = [
            put(&self.context, &mut self.info, &[info.words()])?,
            put(&self.context, &mut self.labels, &step.labels)?,
            put(&self.context, &mut self.ids, &step.ids)?,
            put(&self.context, &mut self.draws, &draws)?,
            put(&self.context, &mut self.rates, &step.rates)?,
            put(&self.context, &mut self.rgb, &step.rgb)?,
        ];
        Ok(moved.contains(&true))
    }
}

/// Copies `data` to a buffer, which is replaced by a longer one if need be: then it says so.
fn put<T: Pod>(context: &Context, buffer: &mut Buffer, data: &[T]) -> Result<bool, Error> {
    let bytes = size_of_val(data);
    let moves = bytes > buffer.len();
    if moves {
        *buffer = Buffer::zeroed(context, bytes)?;
    }
    if bytes > 0 {
        buffer.write(0, data)?;
    }
    Ok(moves)
}
