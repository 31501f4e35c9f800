//! Response normalisation and pooling at once: rows of normalised pixels, and of their gradients, stay in the second
//! cache until the windows over them are done. Rows are computed by `lrn` and `pool`, so bits are those of the two.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use smallvec::SmallVec;

use super::Tools;
use super::lrn::{self, Kept, Towers, TowersMut};
use super::memory::Memory;
use super::pad::with_buffer;
use super::pool::{self, Starts};
use crate::Error;
use crate::ops::{LrnPoolBackward, LrnPoolForward, LrnPoolShape, Operation, PoolShape, Span, UnaryShape};

/// With fewer images, each is cut into strips of rows, so that there is work for several threads.
const WHOLE: usize = 8;

/// Strips of an image of a small batch.
const STRIPS: usize = 4;

/// The strips of `rows` rows in a batch.
fn strips(rows: usize, images: usize) -> usize {
    if images < WHOLE { STRIPS.min(rows) } else { 1 }
}

/// As many rows of each joined tower as a window has: the row of index `r` takes the place of that of `r - size`.
struct Ring<'a> {
    floats: &'a mut [f32],
    row_len: usize,
    size: usize,
}

impl Ring<'_> {
    fn len(shape: &LrnPoolShape) -> usize {
        shape.lrn.joined * shape.pool.size * shape.pool.in_width * shape.pool.channels
    }

    fn new<'a>(shape: &LrnPoolShape, floats: &'a mut [f32]) -> Ring<'a> {
        Ring { floats, row_len: shape.pool.in_width * shape.pool.channels, size: shape.pool.size }
    }

    /// The rows of a tower, and where each of `rows` begins in them.
    fn tower(&mut self, tower: usize, rows: Range<usize>) -> (&mut [f32], Starts) {
        let starts = rows.map(|row| row % self.size * self.row_len).collect();
        let len = self.size * self.row_len;
        (&mut self.floats[tower * len..][..len], starts)
    }

    /// One row of each tower.
    fn row(&mut self, row: usize) -> TowersMut<'_> {
        let at = row % self.size * self.row_len;
        self.floats.chunks_exact_mut(self.size * self.row_len).map(|tower| &mut tower[at..][..self.row_len]).collect()
    }
}

/// Whether a row of the input is under a window.
fn is_under_window(pool: &PoolShape, row: usize) -> bool {
    let last = (row / pool.stride).min(pool.out_height - 1);
    row < last * pool.stride + pool.size
}

/// A strip of an image, all joined towers.
struct Strip<'a> {
    shape: &'a LrnPoolShape,
    /// Whole images.
    inputs: Towers<'a>,
    /// The rows that are written: of the output, or of the input's gradient.
    rows: Range<usize>,
    outputs: TowersMut<'a>,
    /// Gradients of the output, whole images, for a gradient.
    d_outputs: Option<Towers<'a>>,
    buffer: &'a mut [f32],
}

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.d_outputs.is_some() {
            true => self.differentiate(simd),
            false => self.pool(simd),
        }
    }
}

impl Strip<'_> {
    /// Floats of [`Strip::buffer`].
    fn buffer_len(shape: &LrnPoolShape) -> usize {
        lrn::buffer_len(&shape.lrn) + 4 * Ring::len(shape)
    }

    /// Row `row` of the inputs.
    fn input<'a>(shape: &LrnPoolShape, inputs: &Towers<'a>, row: usize) -> Towers<'a> {
        let len = shape.pool.in_width * shape.pool.channels;
        inputs.iter().map(|input| &input[row * len..][..len]).collect()
    }

    #[inline(always)]
    fn pool<S: Simd>(mut self, simd: S) {
        let Strip { shape, inputs, rows, outputs, buffer, .. } = &mut self;
        let (buffer, rest) = buffer.split_at_mut(lrn::buffer_len(&shape.lrn));
        buffer.fill(0.0);
        let mut ring = Ring::new(shape, &mut rest[..Ring::len(shape)]);
        let out_len = shape.pool.out_width * shape.pool.channels;
        let (mut next, first) = (0, rows.start);
        for y in rows.clone() {
            let under = pool::rows(&shape.pool, y);
            for row in next.max(under.start)..under.end {
                lrn::normalise(simd, &shape.lrn, &Self::input(shape, inputs, row), &mut ring.row(row), None, buffer);
            }
            next = under.end;
            for (tower, output) in outputs.iter_mut().enumerate() {
                let (normalised, starts) = ring.tower(tower, under.clone());
                let output = &mut output[(y - first) * out_len..][..out_len];
                pool::pool(simd, &shape.pool, (normalised, &starts), output);
            }
        }
    }

    #[inline(always)]
    fn differentiate<S: Simd>(mut self, simd: S) {
        let Strip { shape, inputs, rows, outputs, d_outputs, buffer } = &mut self;
        let Some(d_outputs) = d_outputs else { return };
        let (pool, lrn) = (&shape.pool, &shape.lrn);
        let (buffer, rest) = buffer.split_at_mut(lrn::buffer_len(lrn));
        buffer.fill(0.0);
        let mut rings = rest.chunks_exact_mut(Ring::len(shape)).map(|floats| Ring::new(shape, floats));
        let (Some(mut ring), Some(mut brackets), Some(mut powers), Some(mut gradients)) =
            (rings.next(), rings.next(), rings.next(), rings.next())
        else {
            return;
        };
        let (in_len, out_len) = (pool.in_width * pool.channels, pool.out_width * pool.channels);
        // The windows over these rows; those above the first row give it, and rows before it, their gradients.
        let above = (rows.start + 1).saturating_sub(pool.size).div_ceil(pool.stride);
        let windows = above..pool.out_height.min(rows.end.div_ceil(pool.stride));
        let (mut next, mut done) = (0, rows.start);
        for y in windows.start..=windows.end {
            // Behind the last window: no rows.
            let under = if y < windows.end { pool::rows(pool, y) } else { rows.end..rows.end };
            // No window reaches above this one any more.
            for row in done..rows.end.min(under.start) {
                let mut d_row = gradients.row(row);
                // Other rows have not been normalised.
                let is_normalised = is_under_window(pool, row);
                if !is_normalised {
                    d_row.iter_mut().for_each(|row| row.fill(0.0));
                }
                let d_row: Towers = d_row.iter().map(|row| &**row).collect();
                let at = (row - rows.start) * in_len;
                let mut d_inputs: TowersMut = outputs.iter_mut().map(|output| &mut output[at..][..in_len]).collect();
                let input = Self::input(shape, inputs, row);
                let kept = is_normalised.then(|| Kept { brackets: brackets.row(row), powers: powers.row(row) });
                lrn::differentiate(simd, lrn, (&input, &d_row), &mut d_inputs, kept, buffer, shape.rectified);
            }
            done = done.max(under.start);
            for row in next.max(under.start)..under.end {
                let kept = Kept { brackets: brackets.row(row), powers: powers.row(row) };
                let input = Self::input(shape, inputs, row);
                lrn::normalise(simd, lrn, &input, &mut ring.row(row), Some(kept), buffer);
                gradients.row(row).iter_mut().for_each(|row| row.fill(0.0));
            }
            next = under.end;
            for (tower, d_output) in d_outputs.iter().enumerate().filter(|_| y < windows.end) {
                let (normalised, starts) = ring.tower(tower, under.clone());
                let d_output = &d_output[y * out_len..][..out_len];
                let (target, _) = gradients.tower(tower, 0..0);
                pool::spread(simd, pool, (normalised, &starts), d_output, target);
            }
        }
    }
}

/// Runs each strip of each image for a group of joined towers. Spans are inputs, what is written and has `rows` rows
/// of `row_len` floats in an image, and gradients of outputs.
fn each_strip(
    tools: &Tools,
    memory: &Memory,
    shape: &LrnPoolShape,
    images: usize,
    (rows, row_len): (usize, usize),
    (inputs, outputs, d_outputs): (&[Span], &[Span], Option<&[Span]>),
) {
    let strips = strips(rows, images);
    let work = |task: usize| {
        let (image, strip) = (task / strips, task % strips);
        let rows_of = rows * strip / strips..rows * (strip + 1) / strips;
        let part = (image * rows + rows_of.start) * row_len..(image * rows + rows_of.end) * row_len;
        let whole = |span: Span, len: usize| {
            // SAFETY: the operation passed its check; these are only read.
            unsafe { &memory.slice(span, (image + 1) * len)[image * len..] }
        };
        with_buffer(Strip::buffer_len(shape), |buffer| {
            tools.arch.dispatch(Strip {
                shape,
                inputs: inputs.iter().map(|&span| whole(span, shape.input_len())).collect(),
                rows: rows_of.clone(),
                // SAFETY: outputs overlap no other operand, and these rows are this task's.
                outputs: outputs.iter().map(|&span| unsafe { memory.part_mut(span, part.clone()) }).collect(),
                d_outputs: d_outputs.map(|spans| spans.iter().map(|&span| whole(span, shape.output_len())).collect()),
                buffer,
            });
        });
    };
    tools.threads.install(|| (0..images * strips).into_par_iter().with_max_len(1).for_each(work));
}

type Spans = SmallVec<[Span; 8]>;

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &LrnPoolForward, images: usize) {
    let pool = &op.shape.pool;
    for group in op.towers.chunks(op.shape.lrn.joined) {
        let (inputs, outputs): (Spans, Spans) = group.iter().map(|tower| (tower.input, tower.output)).unzip();
        let extent = (pool.out_height, pool.out_width * pool.channels);
        each_strip(tools, memory, &op.shape, images, extent, (&inputs, &outputs, None));
    }
}

pub(super) fn backward(tools: &Tools, memory: &Memory, op: &LrnPoolBackward, images: usize) -> Result<(), Error> {
    let pool = &op.shape.pool;
    for group in op.towers.chunks(op.shape.lrn.joined) {
        let inputs = group.iter().map(|tower| tower.saved(LrnPoolBackward::NAME)).collect::<Result<Spans, Error>>()?;
        let (d_outputs, d_inputs): (Spans, Spans) = group.iter().map(|tower| (tower.d_output, tower.d_input)).unzip();
        let extent = (pool.in_height, pool.in_width * pool.channels);
        each_strip(tools, memory, &op.shape, images, extent, (&inputs, &d_inputs, Some(&d_outputs)));
    }
    Ok(())
}
