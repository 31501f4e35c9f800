//! Operands as kernels take them: the base of a region, and an offset for each tower.

use kernels_gpu::Precision;
use kernels_gpu::element::{MAX_ELEMENTS, MAX_TOWERS, Offsets};

use super::Cuda;
use crate::Error;
use crate::device::Argument;
use crate::ops::{Region, Span, UnaryGradTower, UnaryShape, UnaryTower};

/// One operand of up to [`MAX_TOWERS`] towers.
pub(super) struct Operand {
    /// The address of its region.
    pub(super) base: u64,
    pub(super) at: Offsets,
    /// The type of its elements.
    pub(super) precision: Precision,
    offsets: [u32; MAX_TOWERS],
}

impl Operand {
    /// One in scratch memory.
    pub(super) fn new(base: u64, precision: Precision, offsets: [u32; MAX_TOWERS]) -> Operand {
        Operand { base, at: Offsets::new(offsets), precision, offsets }
    }

    /// Where it begins in each tower.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.offsets.into_iter().map(|offset| offset as usize)
    }

    /// Refuses elements of another type.
    pub(super) fn expect(&self, op: &'static str, expected: Precision) -> Result<(), Error> {
        if self.precision == expected { Ok(()) } else { Err(wrong_type(op, self.precision, expected)) }
    }
}

impl Cuda {
    /// The operand of operation `op` that has these spans, one for each tower of a launch.
    pub(super) fn operand(&self, op: &'static str, spans: impl IntoIterator<Item = Span>) -> Result<Operand, Error> {
        let (region, offsets) = places(op, spans)?;
        let (base, precision) = (self.memory.base(region), self.memory.precision_of(region));
        Ok(Operand { base, at: Offsets::new(offsets), precision, offsets })
    }

    /// As [`Cuda::operand`], of the type that products read.
    pub(super) fn operand_of_product(
        &self,
        op: &'static str,
        spans: impl IntoIterator<Item = Span>,
    ) -> Result<Operand, Error> {
        let (region, offsets) = places(op, spans)?;
        let precision = self.memory.precision();
        let base = self.memory.base_for_products(region).ok_or_else(|| {
            let problem = format!("an operand in {region:?}, which is not kept in {precision}");
            Error::Unsupported { op, problem }
        })?;
        Ok(Operand { base, at: Offsets::new(offsets), precision, offsets })
    }

    /// Input and output, and the type of both.
    pub(super) fn forward_operands<S: UnaryShape>(
        &self,
        towers: &[UnaryTower],
    ) -> Result<([Operand; 2], Precision), Error> {
        let input = self.operand(S::FORWARD, towers.iter().map(|tower| tower.input))?;
        let output = self.operand(S::FORWARD, towers.iter().map(|tower| tower.output))?;
        alike(S::FORWARD, [input, output])
    }

    /// What was saved, and the gradients of output and input, and the type of all.
    pub(super) fn backward_operands<S: UnaryShape>(
        &self,
        towers: &[UnaryGradTower],
    ) -> Result<([Operand; 3], Precision), Error> {
        let saved = towers.iter().map(|tower| tower.saved(S::BACKWARD)).collect::<Result<Vec<_>, _>>()?;
        let d_output = self.operand(S::BACKWARD, towers.iter().map(|tower| tower.d_output))?;
        let d_input = self.operand(S::BACKWARD, towers.iter().map(|tower| tower.d_input))?;
        alike(S::BACKWARD, [self.operand(S::BACKWARD, saved)?, d_output, d_input])
    }

    /// The address of a span's first element, and its type.
    pub(super) fn address(&self, span: Span) -> (u64, Precision) {
        let precision = self.memory.precision_of(span.region);
        (self.memory.base(span.region) + (span.start * precision.bytes()) as u64, precision)
    }

    /// The address of the first of a span's f32.
    pub(super) fn floats(&self, op: &'static str, span: Span) -> Result<u64, Error> {
        match self.address(span) {
            (address, Precision::F32) => Ok(address),
            (_, precision) => Err(wrong_type(op, precision, Precision::F32)),
        }
    }
}

/// The error for an operand of another type.
pub(super) fn wrong_type(op: &'static str, got: Precision, expected: Precision) -> Error {
    Error::Unsupported { op, problem: format!("an operand is {got}, expected {expected}") }
}

/// The region of spans, and where each begins.
fn places(op: &'static str, spans: impl IntoIterator<Item = Span>) -> Result<(Region, [u32; MAX_TOWERS]), Error> {
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
    Ok((region.ok_or(Error::Empty { op })?, offsets))
}

/// Operands whose elements have one type, and which.
pub(super) fn alike<const N: usize>(
    op: &'static str,
    operands: [Operand; N],
) -> Result<([Operand; N], Precision), Error> {
    let precision = operands[0].precision;
    operands.iter().try_for_each(|operand| operand.expect(op, precision))?;
    Ok((operands, precision))
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
    kernels_gpu::element::width(operands.iter().flat_map(Operand::places).chain([len]))
}
