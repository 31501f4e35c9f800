//! Convolutions on tensor cores, as kernels: two towers that read both, any shape, guards, and the bits of copies in
//! chunks against those of copies one by one. Fully connected layers are convolutions of one pixel.

use convnet::device::Argument;
use kernels_gpu::bf16::conv::Entries;
use kernels_gpu::bf16::{self, conv};
use kernels_gpu::element::{Divisor, Offsets};
use kernels_gpu::product::copy::Windows;
use kernels_gpu::product::{Places, Product};
use kernels_gpu::sum_parts::Finish;

use crate::card::{Bench, Guarded, bits, card};

/// A convolution of both towers.
#[derive(Clone, Copy, Debug)]
struct Case {
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
    filters: usize,
    size: usize,
    stride: usize,
    pad: usize,
}

const TOWERS: usize = 2;

/// Every width of a tile, several tiles, the first layer, a fully connected one, one map, a stride.
const CASES: [Case; 7] = [
    Case { images: 2, height: 9, width: 8, channels: 48, filters: 72, size: 3, stride: 1, pad: 1 },
    Case { images: 3, height: 9, width: 8, channels: 16, filters: 136, size: 5, stride: 1, pad: 2 },
    Case { images: 2, height: 5, width: 6, channels: 128, filters: 48, size: 2, stride: 1, pad: 0 },
    Case { images: 2, height: 19, width: 18, channels: 3, filters: 5, size: 11, stride: 4, pad: 2 },
    Case { images: 4, height: 1, width: 1, channels: 200, filters: 24, size: 1, stride: 1, pad: 0 },
    Case { images: 1, height: 6, width: 5, channels: 1, filters: 1, size: 2, stride: 3, pad: 0 },
    Case { images: 2, height: 9, width: 9, channels: 8, filters: 16, size: 3, stride: 2, pad: 0 },
];

impl Case {
    fn out(&self) -> (usize, usize) {
        let windows = |len: usize| (len + 2 * self.pad - self.size) / self.stride + 1;
        (windows(self.height), windows(self.width))
    }

    fn input_len(&self) -> usize {
        self.images * self.height * self.width * self.channels
    }

    fn output_len(&self) -> usize {
        let (height, width) = self.out();
        self.images * height * width * self.filters
    }

    fn weight_len(&self) -> usize {
        self.size * self.size * self.channels * self.filters
    }

    fn by_eight(&self) -> bool {
        self.channels.is_multiple_of(8) && self.filters.is_multiple_of(8)
    }

    /// Windows over the inputs.
    fn windows(&self) -> Windows {
        let ((rows, columns), divisor) = (self.out(), |number: usize| Divisor::new(number as u32));
        Windows {
            height: self.height as u32,
            width: self.width as u32,
            channels: self.channels as u32,
            stride: self.stride as u32,
            pad: self.pad as u32,
            taps: (self.size * self.size) as u32,
            by_channels: divisor(self.channels),
            by_size: divisor(self.size),
            by_columns: divisor(columns),
            by_rows: divisor(rows),
            by_dilation: divisor(1),
        }
    }

    /// Windows over the gradients of outputs, one for each pixel of the inputs.
    fn gradient_windows(&self) -> Windows {
        let ((height, width), divisor) = (self.out(), |number: usize| Divisor::new(number as u32));
        Windows {
            height: height as u32,
            width: width as u32,
            channels: self.filters as u32,
            stride: 1,
            pad: (self.size as u32 - 1).wrapping_sub(self.pad as u32),
            by_channels: divisor(self.filters),
            by_columns: divisor(self.width),
            by_rows: divisor(self.height),
            by_dilation: divisor(self.stride),
            ..self.windows()
        }
    }

    /// Places in one tower of all products: `f(input, weight, output)`.
    fn each_product(&self, mut f: impl FnMut(usize, usize, usize)) {
        let Case { images, height, width, channels, filters, size, stride, pad } = *self;
        let (rows, columns) = self.out();
        for window in 0..images * rows * columns {
            let (image, row, column) = (window / (rows * columns), window / columns % rows, window % columns);
            for tap in 0..size * size {
                let (y, x) = (row * stride + tap / size, column * stride + tap % size);
                if y < pad || x < pad || y - pad >= height || x - pad >= width {
                    continue;
                }
                let pixel = (image * height + y - pad) * width + x - pad;
                for channel in 0..channels {
                    for filter in 0..filters {
                        let weight = (tap * channels + channel) * filters + filter;
                        f(pixel * channels + channel, weight, window * filters + filter);
                    }
                }
            }
        }
    }
}

/// Sums of products, their sizes and how many.
struct Exact(Vec<[f64; 3]>);

impl Exact {
    fn zeros(len: usize) -> Exact {
        Exact(vec![[0.0; 3]; len])
    }

    fn add(&mut self, i: usize, product: f64) {
        let [sum, size, terms] = &mut self.0[i];
        *sum += product;
        *size += product.abs();
        *terms += 1.0;
    }

    /// Within the rounding of additions in f32, in any order and direction, and then `rounding` of the sum.
    fn check(&self, found: &[f64], rounding: f64, what: &str) {
        assert_eq!(found.len(), self.0.len());
        for (i, (&found, &[sum, size, terms])) in found.iter().zip(&self.0).enumerate() {
            let bound = rounding * sum.abs() + (terms + 4.0) * 2.0_f64.powi(-23) * size;
            assert!((found - sum).abs() <= bound, "{what}: element {i}: {found} for {sum}, bound {bound}");
        }
    }
}

/// bf16 from -4 to 4, of a sequence that follows from `seed`.
fn numbers(len: usize, seed: u64) -> Vec<u16> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (state >> 40) as f32 / (1 << 24) as f32;
        ((8.0 * unit - 4.0).to_bits() >> 16) as u16
    };
    (0..len).map(|_| next()).collect()
}

fn float(number: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(number) << 16))
}

/// Multiples of `len`, for up to four problems or sources.
fn offsets(multiples: [usize; 4], len: usize) -> Offsets {
    Offsets::new(multiples.map(|multiple| (multiple * len) as u32))
}

/// Two sources for two problems, own tower first, of operands of `len`: one for each tower.
fn of_towers(len: usize) -> Places {
    let none = offsets([0; 4], 0);
    Places::new([offsets([0, 1, 0, 0], len), offsets([1, 0, 0, 0], len), none, none])
}

/// Two sources for two problems, of operands of `len`: one for each source of each problem.
fn of_pairs(len: usize) -> Places {
    let none = offsets([0; 4], 0);
    Places::new([offsets([0, 2, 0, 0], len), offsets([1, 3, 0, 0], len), none, none])
}

/// Whether chunks are copied: the ways that are possible.
fn ways(case: &Case) -> &'static [bool] {
    if case.by_eight() { &[false, true] } else { &[false] }
}

#[test]
fn forward_adds_both_towers_bias_and_relu() {
    let Some(bench) = Bench::new(card(0)) else { return };
    for case in CASES {
        let [input_len, weight_len, output_len] = [case.input_len(), case.weight_len(), case.output_len()];
        let (input, weight) = (numbers(TOWERS * input_len, 1), numbers(4 * weight_len, 2));
        let bias: Vec<f32> = numbers(TOWERS * case.filters, 3).into_iter().map(|bias| float(bias) as f32).collect();
        let mut exact = Exact::zeros(TOWERS * output_len);
        for tower in 0..TOWERS {
            for source in 0..2 {
                let (from, weights) = ((tower + source) % TOWERS * input_len, (2 * tower + source) * weight_len);
                case.each_product(|i, w, o| {
                    exact.add(tower * output_len + o, float(input[from + i]) * float(weight[weights + w]));
                });
            }
        }
        for (i, [sum, size, _]) in exact.0.iter_mut().enumerate() {
            let bias = f64::from(bias[i / output_len * case.filters + i % case.filters]);
            (*sum, *size) = ((*sum + bias).max(0.0), *size + bias.abs());
        }

        let (x, w, b) = (
            Guarded::of(&bench.context, &input),
            Guarded::of(&bench.context, &weight),
            Guarded::of(&bench.context, &bias),
        );
        let (windows, terms) = (case.windows(), case.size * case.size * case.channels);
        let (rows, columns, terms) = ((output_len / case.filters) as u32, case.filters as u32, terms as u32);
        let slice = terms.next_multiple_of(bf16::TILE_K);
        let product = Product { m: rows, n: columns, k: terms, slice, slices: 1, joined: 2, parts: 1 };
        let finish = Finish { bias: 1, activation: 1, a: 0.0, b: 0.0 };
        let mut first: Option<Vec<u16>> = None;
        for &chunked in ways(&case) {
            let (kernel, tile) = conv::FORWARD.of(product.m, product.n, chunked);
            let out = Guarded::poisoned::<u16>(&bench.context, TOWERS * output_len);
            let addresses = [x.address(), w.address(), b.address(), out.address()];
            let (x_at, w_at) = (of_towers(input_len), of_pairs(weight_len));
            let (b_at, out_at) = (offsets([0, 1, 0, 0], case.filters), offsets([0, 1, 0, 0], output_len));
            let arguments = [
                Argument::address(&addresses[0]),
                Argument::value(&x_at),
                Argument::address(&addresses[1]),
                Argument::value(&w_at),
                Argument::address(&addresses[2]),
                Argument::value(&b_at),
                Argument::address(&addresses[3]),
                Argument::value(&out_at),
                Argument::value(&windows),
                Argument::value(&product),
                Argument::value(&finish),
            ];
            // SAFETY: the buffers have the sizes of the case for each place, do not overlap, and live until `out` is
            // read; guards are of 256 bytes, so chunks are aligned.
            unsafe { bench.start(kernel, tile.grid(product, TOWERS as u32), &arguments) };
            let found = out.read::<u16>();
            let floats: Vec<f64> = found.iter().map(|&number| float(number)).collect();
            exact.check(&floats, 2.0_f64.powi(-8), &format!("{case:?}"));
            assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "chunks change the bits: {case:?}");
        }
    }
}

/// Kernels that multiply two operands into parts of f32, for each way to copy: sums of each element's parts.
fn parts(
    bench: &Bench,
    entries: &'static Entries,
    case: &Case,
    [left, right]: [(&Guarded, Places); 2],
    windows: Windows,
    product: Product,
) -> Vec<f64> {
    let len = (product.m * product.n) as usize;
    let mut first: Option<Vec<f32>> = None;
    for &chunked in ways(case) {
        let (kernel, tile) = entries.of(product.m, product.n, chunked && windows.by_dilation == Divisor::new(1));
        let out = Guarded::poisoned::<f32>(&bench.context, TOWERS * product.parts as usize * len);
        let addresses = [left.0.address(), right.0.address(), out.address()];
        let out_at = offsets([0, 1, 0, 0], product.parts as usize * len);
        let arguments = [
            Argument::address(&addresses[0]),
            Argument::value(&left.1),
            Argument::address(&addresses[1]),
            Argument::value(&right.1),
            Argument::address(&addresses[2]),
            Argument::value(&out_at),
            Argument::value(&windows),
            Argument::value(&product),
        ];
        // SAFETY: as in the forward pass.
        unsafe { bench.start(kernel, tile.grid(product, TOWERS as u32), &arguments) };
        let found = out.read::<f32>();
        assert_eq!(bits(first.get_or_insert_with(|| found.clone())), bits(&found), "chunks change the bits: {case:?}");
    }
    let found = first.unwrap();
    let of_tower =
        |parts: &[f32]| (0..len).map(|i| parts[i..].iter().step_by(len).map(|&x| f64::from(x)).sum()).collect();
    found.chunks(product.parts as usize * len).flat_map(|parts| -> Vec<f64> { of_tower(parts) }).collect()
}

#[test]
fn input_gradients_add_up_over_consumers() {
    let Some(bench) = Bench::new(card(0)) else { return };
    for case in CASES {
        let [input_len, weight_len, output_len] = [case.input_len(), case.weight_len(), case.output_len()];
        let (d_output, weight) = (numbers(TOWERS * output_len, 4), numbers(4 * weight_len, 5));
        let mut exact = Exact::zeros(TOWERS * input_len);
        for tower in 0..TOWERS {
            for source in 0..2 {
                let (from, weights) = ((tower + source) % TOWERS * output_len, (2 * tower + source) * weight_len);
                case.each_product(|i, w, o| {
                    exact.add(tower * input_len + i, float(d_output[from + o]) * float(weight[weights + w]));
                });
            }
        }
        let (d, w) = (Guarded::of(&bench.context, &d_output), Guarded::of(&bench.context, &weight));
        let terms = (case.size * case.size * case.filters) as u32;
        let product = bf16::split((input_len / case.channels) as u32, case.channels as u32, terms, 2);
        let operands = [(&d, of_towers(output_len)), (&w, of_pairs(weight_len))];
        let found = parts(&bench, &conv::INPUT_GRAD, &case, operands, case.gradient_windows(), product);
        exact.check(&found, 0.0, &format!("{case:?}"));
    }
}

#[test]
fn weight_gradients_add_up_over_windows() {
    let Some(bench) = Bench::new(card(0)) else { return };
    for case in CASES {
        let [input_len, weight_len, output_len] = [case.input_len(), case.weight_len(), case.output_len()];
        let (input, d_output) = (numbers(TOWERS * input_len, 6), numbers(TOWERS * output_len, 7));
        let mut exact = Exact::zeros(TOWERS * weight_len);
        for tower in 0..TOWERS {
            let (from, to) = (tower * input_len, tower * output_len);
            case.each_product(|i, w, o| {
                exact.add(tower * weight_len + w, float(input[from + i]) * float(d_output[to + o]));
            });
        }
        let (x, d) = (Guarded::of(&bench.context, &input), Guarded::of(&bench.context, &d_output));
        let (terms, windows) = ((weight_len / case.filters) as u32, (output_len / case.filters) as u32);
        let product = bf16::split(terms, case.filters as u32, windows, 1);
        let operands = [(&x, of_towers(input_len)), (&d, of_towers(output_len))];
        let found = parts(&bench, &conv::WEIGHT_GRAD, &case, operands, case.windows(), product);
        exact.check(&found, 0.0, &format!("{case:?}"));
    }
}
