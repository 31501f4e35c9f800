//! Operands as kernels take them: the base of a region, and an offset for each tower.

use kernels_gpu::element::{MAX_ELEMENTS, MAX_TOWERS, Offsets};

use super::Cuda;
use crate::Error;
use crate::device::Argument;
use crate::ops::{Span, UnaryGradTower, UnaryShape, UnaryTower};

/// One operand of up to [`MAX_TOWERS`] towers.
pub(super) struct Operand {
    /// The address of its region.
    pub(super) base: u64,
    pub(super) at: Offsets,
    offsets: [u32; MAX_TOWERS],
}

impl Cuda {
    /// The operand of operation `op` that has these spans, one for each tower of a launch.
    pub(super) fn operand(&self, op: &'static str, spans: impl IntoIterator<Item = Span>) -> Result<Operand, Error> {
        let mut offsets = [0; MAX_TOWERS];
        let mut region = None;
        for (offset, span) in offsets.iter_mut().zip(spans) {
            let first = *region.get_or_insert(span.region);
            if span.region != first {
                let problem = format!("towers in {first:?} and {:?}, expected one region", span.region);
                return Err(Error::Unsupported { op, problem });
            }
            let far = |_| {
                let problem = format!("{span} begins beyond 2^32 elements; use a smaller batch");
                Error::Unsupported { op, problem }
            };
            *offset = u32::try_from(span.start).map_err(far)?;
        }
        let base = region.map_or(0, |region| self.memory.base(region));
        Ok(Operand { base, at: Offsets::new(offsets), offsets })
    }

    /// Input and output.
    pub(super) fn forward_operands<S: UnaryShape>(&self, towers: &[UnaryTower]) -> Result<[Operand; 2], Error> {
        let input = self.operand(S::FORWARD, towers.iter().map(|tower| tower.input))?;
        let output = self.operand(S::FORWARD, towers.iter().map(|tower| tower.output))?;
        Ok([input, output])
    }

    /// What was saved, and the gradients of output and input.
    pub(super) fn backward_operands<S: UnaryShape>(&self, towers: &[UnaryGradTower]) -> Result<[Operand; 3], Error> {
        let saved = towers.iter().map(|tower| tower.saved(S::BACKWARD)).collect::<Result<Vec<_>, _>>()?;
        let d_output = self.operand(S::BACKWARD, towers.iter().map(|tower| tower.d_output))?;
        let d_input = self.operand(S::BACKWARD, towers.iter().map(|tower| tower.d_input))?;
        Ok([self.operand(S::BACKWARD, saved)?, d_output, d_input])
    }

    /// The address of a span's first float.
    pub(super) fn address(&self, span: Span) -> u64 {
        self.memory.base(span.region) + (span.start * size_of::<f32>()) as u64
    }
}

/// The arguments of a launch: the operands, each as base and offsets, then `others`.
pub(super) fn arguments<'a>(operands: &'a [Operand], others: &[Argument<'a>]) -> Vec<Argument<'a>> {
    let places = |operand: &'a Operand| [Argument::address(&operand.base), Argument::value(&operand.at)];
    operands.iter().flat_map(places).chain(others.iter().copied()).collect()
}

/// Elements of one tower, as a kernel counts them.
pub(super) fn count(op: &'static str, len: usize) -> Result<u32, Error> {
    let few = u32::try_from(len).ok().filter(|_| len < MAX_ELEMENTS);
    let problem = || format!("a tower has {len} elements, possible are fewer than {MAX_ELEMENTS}; use a smaller batch");
    few.ok_or_else(|| Error::Unsupported { op, problem: problem() })
}

/// How many neighbours a thread takes: 4 where all offsets and `len` allow it, or 1.
pub(super) fn width(operands: &[Operand], len: usize) -> u32 {
    let places = operands.iter().flat_map(|operand| operand.offsets.map(|offset| offset as usize));
    kernels_gpu::element::width(places.chain([len]))
}
