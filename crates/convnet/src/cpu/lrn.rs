//! Response normalisation across maps: some pixels at a time, with vectors along the maps.

use std::ops::{Deref, Range};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use smallvec::SmallVec;

use super::Tools;
use super::memory::Memory;
use super::norm::{Power, three_quarters};
use super::pad::with_buffer;
use super::vectors::{each_vector, load, store};
use crate::Error;
use crate::ops::{LrnBackward, LrnForward, LrnShape, Operation, Span};

/// Pixels of some towers whose windows are joined: a slice for each tower.
pub(super) type Towers<'a> = SmallVec<[&'a [f32]; 8]>;
/// The same, to be written.
pub(super) type TowersMut<'a> = SmallVec<[&'a mut [f32]; 8]>;

/// Floats of the joined towers that a task takes, about.
const TASK: usize = 1 << 15;

/// The same for a group, whose buffers stay in the first cache. Several pixels, because a window that is read soon
/// after its terms were written, by other vectors, waits for them.
const GROUP: usize = 1024;

/// Terms of windowed sums: those of a pixel, all towers side by side, then `size / 2` zeros that keep the windows of
/// neighbours apart; as many zeros in front.
pub(super) struct Terms {
    half: usize,
    channels: usize,
    /// Floats of a pixel.
    width: usize,
}

impl Terms {
    fn new(shape: &LrnShape) -> Terms {
        let half = shape.size / 2;
        Terms { half, channels: shape.channels, width: shape.channels * shape.joined + half }
    }

    /// Floats for a group of pixels.
    fn len(&self, shape: &LrnShape) -> usize {
        self.half + group_len(shape) * self.width
    }

    /// Where the window of a pixel's first map of a tower begins; its own term is `half` behind.
    #[inline(always)]
    fn window(&self, pixel: usize, tower: usize) -> usize {
        pixel * self.width + tower * self.channels
    }
}

/// Pixels of a group.
fn group_len(shape: &LrnShape) -> usize {
    (GROUP / (shape.channels * shape.joined)).max(1)
}

/// Floats that [`normalise`] and [`differentiate`] need as a buffer, zero at first; they leave zeros where they were.
pub(super) fn buffer_len(shape: &LrnShape) -> usize {
    2 * Terms::new(shape).len(shape)
}

/// Brackets and powers of some pixels, for each tower.
pub(super) struct Kept<'a> {
    pub brackets: TowersMut<'a>,
    pub powers: TowersMut<'a>,
}

/// Writes the outputs of some pixels, and what their gradients can use again.
#[inline(always)]
pub(super) fn normalise<S: Simd>(
    simd: S,
    shape: &LrnShape,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    mut kept: Option<Kept>,
    buffer: &mut [f32],
) {
    if is_papers(shape) {
        each_group::<S, true>(
            simd,
            shape,
            inputs[0].len(),
            #[inline(always)]
            |group| group.normalise(inputs, outputs, &mut kept, buffer),
        );
    } else {
        each_group::<S, false>(
            simd,
            shape,
            inputs[0].len(),
            #[inline(always)]
            |group| group.normalise(inputs, outputs, &mut kept, buffer),
        );
    }
}

/// Turns gradients of the outputs of some pixels into those of the inputs, and where these are `rectified`, the outputs
/// of a ReLU, into those of its inputs.
#[inline(always)]
pub(super) fn differentiate<S: Simd>(
    simd: S,
    shape: &LrnShape,
    (inputs, d_outputs): (&[&[f32]], &[&[f32]]),
    d_inputs: &mut [&mut [f32]],
    kept: Option<Kept>,
    buffer: &mut [f32],
    rectified: bool,
) {
    let given = (inputs, d_outputs);
    if is_papers(shape) {
        each_group::<S, true>(
            simd,
            shape,
            inputs[0].len(),
            #[inline(always)]
            |group| group.differentiate(given, d_inputs, &kept, buffer, rectified),
        );
    } else {
        each_group::<S, false>(
            simd,
            shape,
            inputs[0].len(),
            #[inline(always)]
            |group| group.differentiate(given, d_inputs, &kept, buffer, rectified),
        );
    }
}

/// Whether windows and exponent are the paper's, which the compiler makes loops for.
fn is_papers(shape: &LrnShape) -> bool {
    shape.size == 5 && shape.beta == 0.75
}

/// Calls `work` for the groups of the pixels in `len` floats of a tower.
#[inline(always)]
fn each_group<S: Simd, const PAPERS: bool>(
    simd: S,
    shape: &LrnShape,
    len: usize,
    mut work: impl FnMut(Group<'_, S, PAPERS>),
) {
    let (pixels, group) = (len / shape.channels, group_len(shape));
    let mut first = 0;
    while first < pixels {
        let end = pixels.min(first + group);
        work(Group { simd, shape, terms: Terms::new(shape), pixels: first..end });
        first = end;
    }
}

/// Pixels whose terms are in a buffer at once. `PAPERS`: [`is_papers`].
struct Group<'a, S, const PAPERS: bool> {
    simd: S,
    shape: &'a LrnShape,
    terms: Terms,
    pixels: Range<usize>,
}

impl<S: Simd, const PAPERS: bool> Group<'_, S, PAPERS> {
    /// Checks that rows have all pixels of the group, as [`Group::each_vector`] names them.
    fn check<T: Deref<Target = [f32]>>(&self, towers: &[T]) {
        let len = self.pixels.end * self.shape.channels;
        assert!(towers.len() >= self.shape.joined && towers.iter().all(|row| row.len() >= len));
    }

    /// Calls `work` for every vector: tower, its place in the tower, its window's place in the terms, its length.
    #[inline(always)]
    fn each_vector(&self, mut work: impl FnMut(usize, usize, usize, usize)) {
        let channels = self.shape.channels;
        for pixel in self.pixels.clone() {
            for tower in 0..self.shape.joined {
                let window = self.terms.window(pixel - self.pixels.start, tower);
                each_vector::<S>(
                    channels,
                    #[inline(always)]
                    |at, valid| work(tower, pixel * channels + at, window + at, valid),
                );
            }
        }
    }

    /// # Safety
    /// `terms` are those of a group, and `at` and `valid` are of [`Group::each_vector`].
    #[inline(always)]
    unsafe fn window_sum(&self, terms: &[f32], at: usize, valid: usize) -> S::f32s {
        let size = if PAPERS { 5 } else { self.shape.size };
        // SAFETY: windows end `size / 2` behind their last map, where the zeros are.
        unsafe {
            let mut sum = load(self.simd, terms, at, valid);
            for shift in 1..size {
                sum = self.simd.add_f32s(sum, load(self.simd, terms, at + shift, valid));
            }
            sum
        }
    }

    /// The bracket of a window of squares, and its power.
    ///
    /// # Safety
    /// As [`Group::window_sum`].
    #[inline(always)]
    unsafe fn bracket(&self, squares: &[f32], at: usize, valid: usize) -> (S::f32s, S::f32s) {
        let (simd, LrnShape { k, alpha, beta, .. }) = (self.simd, *self.shape);
        // SAFETY: the caller's word.
        let sum = unsafe { self.window_sum(squares, at, valid) };
        let bracket = simd.add_f32s(simd.splat_f32s(k), simd.mul_f32s(simd.splat_f32s(alpha), sum));
        let power = if PAPERS { three_quarters(simd, bracket) } else { Power::new(beta).of(simd, bracket) };
        (bracket, power)
    }

    /// Fills the squares.
    #[inline(always)]
    fn square(&self, inputs: &[&[f32]], squares: &mut [f32]) {
        let simd = self.simd;
        self.each_vector(
            #[inline(always)]
            |tower, at, window, valid| {
                // SAFETY: inputs have all pixels, and squares a place for each.
                unsafe {
                    let x = load(simd, inputs[tower], at, valid);
                    store(simd, squares, window + self.terms.half, valid, simd.mul_f32s(x, x));
                }
            },
        );
    }

    #[inline(always)]
    fn normalise(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], kept: &mut Option<Kept>, buffer: &mut [f32]) {
        let simd = self.simd;
        let squares = &mut buffer[..self.terms.len(self.shape)];
        self.check(inputs);
        self.check(outputs);
        if let Some(kept) = kept {
            self.check(&kept.brackets);
            self.check(&kept.powers);
        }
        self.square(inputs, squares);
        self.each_vector(
            #[inline(always)]
            |tower, at, window, valid| {
                // SAFETY: all rows have all pixels, as was checked, and squares a window for each.
                unsafe {
                    let (bracket, power) = self.bracket(squares, window, valid);
                    let x = load(simd, inputs[tower], at, valid);
                    store(simd, outputs[tower], at, valid, simd.mul_f32s(x, power));
                    if let Some(kept) = kept {
                        store(simd, kept.brackets[tower], at, valid, bracket);
                        store(simd, kept.powers[tower], at, valid, power);
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn differentiate(
        &self,
        (inputs, d_outputs): (&[&[f32]], &[&[f32]]),
        d_inputs: &mut [&mut [f32]],
        kept: &Option<Kept>,
        buffer: &mut [f32],
        rectified: bool,
    ) {
        let simd = self.simd;
        let (squares, products) = buffer.split_at_mut(self.terms.len(self.shape));
        assert!(products.len() >= squares.len());
        self.check(inputs);
        self.check(d_outputs);
        self.check(d_inputs);
        match kept {
            Some(kept) => {
                self.check(&kept.brackets);
                self.check(&kept.powers);
            }
            None => self.square(inputs, squares),
        }
        self.each_vector(
            #[inline(always)]
            |tower, at, window, valid| {
                // SAFETY: all rows have all pixels, as was checked, and the buffers a window for each.
                unsafe {
                    let (bracket, power) = match kept {
                        Some(Kept { brackets, powers }) => {
                            (load(simd, brackets[tower], at, valid), load(simd, powers[tower], at, valid))
                        }
                        None => self.bracket(squares, window, valid),
                    };
                    let x = load(simd, inputs[tower], at, valid);
                    let d = load(simd, d_outputs[tower], at, valid);
                    let product = simd.mul_f32s(simd.mul_f32s(d, x), power);
                    store(simd, products, window + self.terms.half, valid, simd.div_f32s(product, bracket));
                    store(simd, d_inputs[tower], at, valid, simd.mul_f32s(d, power));
                }
            },
        );
        let (factor, zero) = (simd.splat_f32s(2.0 * self.shape.alpha * self.shape.beta), simd.splat_f32s(0.0));
        self.each_vector(
            #[inline(always)]
            |tower, at, window, valid| {
                // SAFETY: as above.
                unsafe {
                    let sum = self.window_sum(products, window, valid);
                    let x = load(simd, inputs[tower], at, valid);
                    let own = load(simd, d_inputs[tower], at, valid);
                    let others = simd.mul_f32s(simd.mul_f32s(factor, x), sum);
                    let d = simd.sub_f32s(own, others);
                    let d = if rectified { simd.select_f32s(simd.greater_than_f32s(x, zero), d, zero) } else { d };
                    store(simd, d_inputs[tower], at, valid, d);
                }
            },
        );
    }
}

/// Runs `work` for all pixels of a batch, some at a time: for each task its part of a tower, and what it writes.
fn each_task(
    tools: &Tools,
    memory: &Memory,
    shape: &LrnShape,
    (outputs, images): (impl Iterator<Item = Span> + Clone + Sync, usize),
    work: impl Fn(Range<usize>, &mut [&mut [f32]], &mut [f32]) + Sync,
) {
    let pixels = images * shape.pixels;
    let task_len = (TASK / (shape.channels * shape.joined)).max(1);
    let task = |task: usize| {
        let part = task * task_len * shape.channels..pixels.min((task + 1) * task_len) * shape.channels;
        // SAFETY: outputs overlap no other operand, and these pixels are this task's.
        let mut outputs: TowersMut =
            outputs.clone().map(|span| unsafe { memory.part_mut(span, part.clone()) }).collect();
        with_buffer(buffer_len(shape), |buffer| {
            buffer.fill(0.0);
            work(part, &mut outputs, buffer);
        });
    };
    tools.threads.install(|| (0..pixels.div_ceil(task_len)).into_par_iter().for_each(task));
}

pub(super) fn forward(tools: &Tools, memory: &Memory, op: &LrnForward, images: usize) {
    struct Task<'a, 'b, 'c>(&'a LrnShape, &'a [&'b [f32]], &'a mut [&'c mut [f32]], &'a mut [f32]);
    impl WithSimd for Task<'_, '_, '_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            normalise(simd, self.0, self.1, self.2, None, self.3);
        }
    }
    let shape = &op.shape;
    for group in op.towers.chunks(shape.joined) {
        let outputs = (group.iter().map(|tower| tower.output), images);
        each_task(tools, memory, shape, outputs, |part, outputs, buffer| {
            // SAFETY: the operation passed its check; inputs are only read.
            let input = |span| unsafe { &memory.slice(span, part.end)[part.start..] };
            let inputs: Towers = group.iter().map(|tower| input(tower.input)).collect();
            tools.arch.dispatch(Task(shape, &inputs, outputs, buffer));
        });
    }
}

pub(super) fn backward(tools: &Tools, memory: &Memory, op: &LrnBackward, images: usize) -> Result<(), Error> {
    type Given<'a, 'b> = (&'a [&'b [f32]], &'a [&'b [f32]]);
    struct Task<'a, 'b, 'c>(&'a LrnShape, Given<'a, 'b>, &'a mut [&'c mut [f32]], &'a mut [f32]);
    impl WithSimd for Task<'_, '_, '_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            differentiate(simd, self.0, self.1, self.2, None, self.3, false);
        }
    }
    let shape = &op.shape;
    for group in op.towers.chunks(shape.joined) {
        let mut saved = SmallVec::<[Span; 8]>::new();
        for tower in group {
            saved.push(tower.saved(LrnBackward::NAME)?);
        }
        let outputs = (group.iter().map(|tower| tower.d_input), images);
        each_task(tools, memory, shape, outputs, |part, d_inputs, buffer| {
            // SAFETY: the operation passed its check; these are only read.
            let read = |span| unsafe { &memory.slice(span, part.end)[part.start..] };
            let inputs: Towers = saved.iter().map(|&span| read(span)).collect();
            let d_outputs: Towers = group.iter().map(|tower| read(tower.d_output)).collect();
            tools.arch.dispatch(Task(shape, (&inputs, &d_outputs), d_inputs, buffer));
        });
    }
    Ok(())
}
