//! Max pooling: image by image, row by row of the output, with vectors along the maps.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use smallvec::SmallVec;

use super::Tools;
use super::memory::Memory;
use super::vectors::{each_vector, load, store};
use crate::Error;
use crate::ops::{Operation, PoolBackward, PoolForward, PoolShape, UnaryShape};

/// Where the rows of the input begin that a row of windows is over.
pub(super) type Starts = SmallVec<[usize; 8]>;

/// The rows of the input under row `y` of the output.
pub(super) fn rows(shape: &PoolShape, y: usize) -> std::ops::Range<usize> {
    y * shape.stride..shape.in_height.min(y * shape.stride + shape.size)
}

/// The same in an image.
fn starts(shape: &PoolShape, y: usize) -> Starts {
    rows(shape, y).map(|row| row * shape.in_width * shape.channels).collect()
}

/// A row of windows over an input.
struct Windows<'a, S> {
    simd: S,
    shape: &'a PoolShape,
    input: &'a [f32],
    starts: &'a [usize],
}

/// The vector of a window: its place in the first row of the window, its length, the window's rows and columns.
#[derive(Clone, Copy)]
struct Part {
    at: usize,
    valid: usize,
    rows: usize,
    columns: usize,
}

impl<S: Simd> Windows<'_, S> {
    /// Checks that the windows' rows are in the input, and those of `d_input`, if any, in that; `output` is a row.
    fn check(&self, output: &[f32], d_input: Option<&[f32]>) {
        let PoolShape { in_width, channels, out_width, stride, .. } = *self.shape;
        let len = self.input.len().min(d_input.map_or(usize::MAX, <[f32]>::len));
        assert!(output.len() >= out_width * channels && (out_width - 1) * stride < in_width);
        assert!(!self.starts.is_empty() && self.starts.iter().all(|start| start + in_width * channels <= len));
    }

    /// Calls `work` for each vector of the output, with its place. The compiler knows rows and columns where they are
    /// the paper's.
    #[inline(always)]
    fn each(&self, mut work: impl FnMut(usize, Part)) {
        let PoolShape { in_width, channels, out_width, size, stride, .. } = *self.shape;
        for x in 0..out_width {
            let mut window = |rows: usize, columns: usize| {
                each_vector::<S>(
                    channels,
                    #[inline(always)]
                    |at, valid| {
                        work(x * channels + at, Part { at: x * stride * channels + at, valid, rows, columns });
                    },
                );
            };
            match (self.starts.len(), size.min(in_width - x * stride)) {
                (3, 3) => window(3, 3),
                (rows, columns) => window(rows, columns),
            }
        }
    }

    /// Where a vector of a pixel of the window lies.
    #[inline(always)]
    fn pixel(&self, part: Part, place: usize) -> usize {
        self.starts[place / part.columns] + part.at + place % part.columns * self.shape.channels
    }

    /// The maxima, and which pixels of the window are the first to be one. A NaN wins and stays: hiding it would hide a
    /// broken run.
    ///
    /// # Safety
    /// [`Windows::check`] has passed, and the part is of [`Windows::each`].
    #[inline(always)]
    unsafe fn maxima(&self, part: Part) -> (S::f32s, S::f32s) {
        let simd = self.simd;
        // SAFETY: the pixels of a window are in its rows, here and below.
        let mut max = unsafe { load(simd, self.input, self.pixel(part, 0), part.valid) };
        let mut first = simd.splat_f32s(0.0);
        for place in 1..part.rows * part.columns {
            // SAFETY: as above.
            let value = unsafe { load(simd, self.input, self.pixel(part, place), part.valid) };
            let is_nan = simd.not_m32s(simd.equal_f32s(value, value));
            let takes = simd.or_m32s(simd.greater_than_f32s(value, max), is_nan);
            max = simd.select_f32s(takes, value, max);
            first = simd.select_f32s(takes, simd.splat_f32s(place as f32), first);
        }
        (max, first)
    }
}

/// Writes a row of the output. `starts` says where the rows under it begin in the input.
#[inline(always)]
pub(super) fn pool<S: Simd>(simd: S, shape: &PoolShape, (input, starts): (&[f32], &[usize]), output: &mut [f32]) {
    let windows = Windows { simd, shape, input, starts };
    windows.check(output, None);
    windows.each(
        #[inline(always)]
        // SAFETY: that was checked.
        |to, part| unsafe { store(simd, output, to, part.valid, windows.maxima(part).0) },
    );
}

/// Adds a row of gradients to those of each window's first maximum. `d_input` has the rows of the input.
#[inline(always)]
pub(super) fn spread<S: Simd>(
    simd: S,
    shape: &PoolShape,
    (input, starts): (&[f32], &[usize]),
    d_output: &[f32],
    d_input: &mut [f32],
) {
    let windows = Windows { simd, shape, input, starts };
    windows.check(d_output, Some(d_input));
    windows.each(
        #[inline(always)]
        |from, part| {
            // SAFETY: that was checked.
            let (first, d) = unsafe { (windows.maxima(part).1, load(simd, d_output, from, part.valid)) };
            for place in 0..part.rows * part.columns {
                let at = windows.pixel(part, place);
                let is_first = simd.equal_f32s(first, simd.splat_f32s(place as f32));
                let d = simd.select_f32s(is_first, d, simd.splat_f32s(0.0));
                // SAFETY: as in the input.
                unsafe { store(simd, d_input, at, part.valid, simd.add_f32s(load(simd, d_input, at, part.valid), d)) };
            }
        },
    );
}

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &PoolForward, images: usize) {
    struct Image<'a>(&'a PoolShape, &'a [f32], &'a mut [f32]);
    impl WithSimd for Image<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Image(shape, input, output) = self;
            for (y, output) in output.chunks_exact_mut(shape.out_width * shape.channels).enumerate() {
                pool(simd, shape, (input, &starts(shape, y)), output);
            }
        }
    }
    let shape = &op.shape;
    let (in_len, out_len) = (shape.input_len(), shape.output_len());
    for tower in &op.towers {
        // SAFETY: the operation passed its check; the output overlaps no other operand.
        let (input, output) =
            unsafe { (memory.slice(tower.input, images * in_len), memory.slice_mut(tower.output, images * out_len)) };
        let pairs = input.par_chunks_exact(in_len).zip(output.par_chunks_exact_mut(out_len));
        let work = |(input, output): (&[f32], &mut [f32])| tools.arch.dispatch(Image(shape, input, output));
        tools.threads.install(|| pairs.for_each(work));
    }
}

pub(super) fn backward(tools: &Tools, memory: &Memory, op: &PoolBackward, images: usize) -> Result<(), Error> {
    struct Image<'a>(&'a PoolShape, &'a [f32], &'a [f32], &'a mut [f32]);
    impl WithSimd for Image<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Image(shape, input, d_output, d_input) = self;
            d_input.fill(0.0);
            for (y, d_output) in d_output.chunks_exact(shape.out_width * shape.channels).enumerate() {
                spread(simd, shape, (input, &starts(shape, y)), d_output, d_input);
            }
        }
    }
    let shape = &op.shape;
    let (in_len, out_len) = (shape.input_len(), shape.output_len());
    for tower in &op.towers {
        let saved = tower.saved(PoolBackward::NAME)?;
        // SAFETY: the operation passed its check; the gradient of the input overlaps no other operand.
        let (input, d_output, d_input) = unsafe {
            (
                memory.slice(saved, images * in_len),
                memory.slice(tower.d_output, images * out_len),
                memory.slice_mut(tower.d_input, images * in_len),
            )
        };
        let images = input.par_chunks_exact(in_len).zip(d_output.par_chunks_exact(out_len));
        let work = |((input, d_output), d_input): ((&[f32], &[f32]), &mut [f32])| {
            tools.arch.dispatch(Image(shape, input, d_output, d_input));
        };
        tools.threads.install(|| images.zip(d_input.par_chunks_exact_mut(in_len)).for_each(work));
    }
    Ok(())
}
