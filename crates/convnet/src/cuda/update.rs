//! The momentum update: one launch for all parameters that follow each other in a list.

use kernels_gpu::update::{Parameter, UPDATE, UPDATE_ROUNDED};

use super::Cuda;
use super::operand::count;
use crate::Error;
use crate::device::{Argument, Buffer};
use crate::ops::{Operation, Region, Span, Update};

/// Tables of parameters, on the card, by their words. A list of operations has the same one in every step.
#[derive(Default)]
pub(super) struct Tables(Vec<(Vec<u32>, Buffer)>);

/// Updates parameters whose operations were checked.
pub(super) fn update(cuda: &mut Cuda, ops: &[&Update]) -> Result<(), Error> {
    let (words, n, blocks) = table(ops)?;
    if n == 0 {
        return Ok(());
    }
    let known = cuda.tables.0.iter().position(|(known, _)| *known == words);
    let table = if let Some(known) = known {
        cuda.tables.0[known].1.address()
    } else {
        let mut buffer = Buffer::zeroed(&cuda.context, size_of_val(&words[..]))?;
        buffer.write(0, &words)?;
        let address = buffer.address();
        cuda.tables.0.push((words, buffer));
        address
    };
    let base = |region| cuda.memory.base(region);
    let (weights, velocity, gradient) = (base(Region::Weights), base(Region::Momenta), base(Region::Gradients));
    let rounded = cuda.memory.rounded(Span::new(Region::Weights, 0, 0));
    let rates = cuda.inputs.rates();
    let mut arguments = vec![
        Argument::address(&table),
        Argument::value(&n),
        Argument::address(&weights),
        Argument::address(&velocity),
        Argument::address(&gradient),
        Argument::address(&rates),
    ];
    let kernel = match &rounded {
        Some(rounded) => {
            arguments.push(Argument::address(rounded));
            &UPDATE_ROUNDED
        }
        None => &UPDATE,
    };
    // SAFETY: the operations passed their checks, so spans are inside of their regions and no operation's own overlap,
    // and the step has a rate for each; parameters of one launch do not overlap (`table`); the table was written; regions
    // are aligned to 256 bytes; grid and block are the kernel's.
    unsafe { cuda.launch(kernel, [blocks, 1, 1], &arguments) }
}

/// The table of parameters, as words, and how many parameters and blocks it has.
fn table(ops: &[&Update]) -> Result<(Vec<u32>, u32, u32), Error> {
    let op = Update::NAME;
    let (mut words, mut n, mut blocks) = (Vec::new(), 0, 0_u32);
    let place = |span: Span, region: Region| {
        if span.region != region {
            return Err(Error::Unsupported { op, problem: format!("{span}, expected {region:?}") });
        }
        count(op, span.end())?;
        Ok(span.start as u32)
    };
    for (i, &update) in ops.iter().enumerate() {
        let spans = |update: &Update| [update.weights, update.velocity, update.gradient];
        if let Some(other) = ops[..i].iter().find(|other| overlap(&spans(other), &spans(update))) {
            let problem = format!("{} and {} overlap in one list", other.weights, update.weights);
            return Err(Error::Unsupported { op, problem });
        }
        let parameter = Parameter {
            first_block: blocks,
            weights: place(update.weights, Region::Weights)?,
            velocity: place(update.velocity, Region::Momenta)?,
            gradient: place(update.gradient, Region::Gradients)?,
            len: update.weights.len as u32,
            rate: update.parameter as u32,
            momentum: update.momentum,
            decay: update.decay,
        };
        if parameter.len > 0 {
            words.extend(parameter.words());
            n += 1;
            blocks = blocks.saturating_add(parameter.blocks());
        }
    }
    Ok((words, n, blocks))
}

/// Whether any two spans do.
fn overlap(a: &[Span], b: &[Span]) -> bool {
    a.iter().any(|a| b.iter().any(|b| a.region == b.region && a.start < b.end() && b.start < a.end()))
}
