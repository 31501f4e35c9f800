//! The mean image and the colour covariance of a split, and the covariance's eigenvectors.
//!
//! All sums are of integers and therefore exact: the result does not depend on the number of threads
//! or the order of the images. Units are those of the stored bytes, 0 to 255.

use std::array;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::{Error, Images, Skipped};

/// Mean image and colour statistics over the images of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Width and height of the images.
    pub side: usize,
    /// How many images were read.
    pub images: u64,
    /// The mean of every byte, `[side, side, 3]`, 0 to 255.
    pub mean: Vec<f32>,
    /// Covariance of red, green and blue over all pixels of all images (divided by their number), in
    /// squared byte units.
    pub covariance: [[f64; 3]; 3],
    /// Eigenvalues of the covariance, largest first: variances, so the 2012 code's `color_stdevs` are
    /// their square roots. Those below 1e-12 of the largest are set to 0, as for grey images.
    pub eigenvalues: [f64; 3],
    /// Row `i` is the unit eigenvector of eigenvalue `i` as (red, green, blue). Its largest component
    /// (the first of equals) is positive.
    pub eigenvectors: [[f64; 3]; 3],
}

/// Pairs of channels whose products are summed.
const PAIRS: [(usize, usize); 6] = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];

/// Sums over some images, from which statistics are made.
pub(crate) struct Sums {
    pub(crate) images: u64,
    bytes: Vec<u64>,
    products: [u128; 6],
    /// Index and record of each image that could not be read.
    skipped: Vec<(usize, Skipped)>,
}

impl Sums {
    pub(crate) fn new(side: usize) -> Sums {
        Sums { images: 0, bytes: vec![0; side * side * 3], products: [0; 6], skipped: Vec::new() }
    }

    pub(crate) fn add_image(&mut self, rgb: &[u8]) {
        self.images += 1;
        let products = pulp::Arch::new().dispatch(Add { sums: &mut self.bytes, rgb });
        for (total, sum) in self.products.iter_mut().zip(products) {
            *total += u128::from(sum);
        }
    }

    pub(crate) fn merge(&mut self, other: Sums) {
        self.images += other.images;
        for (sum, value) in self.bytes.iter_mut().zip(other.bytes) {
            *sum += value;
        }
        for (sum, value) in self.products.iter_mut().zip(other.products) {
            *sum += value;
        }
        self.skipped.extend(other.skipped);
    }

    /// The sums as bytes, little-endian: images, products, then the sum of each byte in 32 bits.
    ///
    /// # Panics
    /// If there are more than 2^24 images.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        assert!(self.images <= 1 << 24, "the sums of {} images do not fit 32 bits", self.images);
        let mut bytes = self.images.to_le_bytes().to_vec();
        bytes.extend(self.products.iter().flat_map(|product| product.to_le_bytes()));
        bytes.extend(self.bytes.iter().flat_map(|&sum| (sum as u32).to_le_bytes()));
        bytes
    }

    /// What [`Sums::to_bytes`] gave; none if it was something else.
    pub(crate) fn from_bytes(side: usize, bytes: &[u8]) -> Option<Sums> {
        let (images, bytes) = bytes.split_first_chunk()?;
        let (products, bytes) = bytes.split_at_checked(6 * 16)?;
        let (sums, rest) = bytes.as_chunks();
        if sums.len() != side * side * 3 || !rest.is_empty() {
            return None;
        }
        let products = products.as_chunks().0;
        Some(Sums {
            images: u64::from_le_bytes(*images),
            bytes: sums.iter().map(|&sum| u64::from(u32::from_le_bytes(sum))).collect(),
            products: array::from_fn(|i| u128::from_le_bytes(products[i])),
            skipped: Vec::new(),
        })
    }
}

/// Adding an image to the sums of its bytes, and the sums of its products; to be compiled for the processor at hand.
/// No closure, which would not be.
struct Add<'a> {
    sums: &'a mut [u64],
    rgb: &'a [u8],
}

impl pulp::NullaryFnOnce for Add<'_> {
    type Output = [u64; 6];

    #[inline(always)]
    fn call(self) -> [u64; 6] {
        for (sum, &byte) in self.sums.iter_mut().zip(self.rgb) {
            *sum += u64::from(byte);
        }
        products(self.rgb)
    }
}

/// Sums of the products of [`PAIRS`] over the pixels of an image.
#[inline(always)]
fn products(rgb: &[u8]) -> [u64; 6] {
    const LANES: usize = 64;
    let mut total = [0_u64; 6];
    let mut sums = [[0_u32; LANES]; 6];
    // A lane overflows after 2^32 / 255^2 = 66,051 rows of pixels.
    for rows in rgb.chunks((3 * LANES) << 16) {
        let (rows, rest) = rows.as_chunks::<{ 3 * LANES }>();
        for row in rows {
            let pixels = row.as_chunks::<3>().0;
            let channels: [[u16; LANES]; 3] = array::from_fn(|c| array::from_fn(|i| u16::from(pixels[i][c])));
            for (sums, (a, b)) in sums.iter_mut().zip(PAIRS) {
                for ((sum, &x), &y) in sums.iter_mut().zip(&channels[a]).zip(&channels[b]) {
                    *sum += u32::from(x * y);
                }
            }
        }
        for (total, sums) in total.iter_mut().zip(&mut sums) {
            *total += std::mem::replace(sums, [0; LANES]).iter().map(|&sum| u64::from(sum)).sum::<u64>();
        }
        for pixel in rest.chunks_exact(3) {
            for (total, (a, b)) in total.iter_mut().zip(PAIRS) {
                *total += u64::from(u16::from(pixel[a]) * u16::from(pixel[b]));
            }
        }
    }
    total
}

impl Statistics {
    /// Reads all images of a split with `threads` threads. `progress` is called after each image with
    /// the number done so far, from any of the threads. Returns the images that were left out too, in
    /// the split's order.
    ///
    /// # Errors
    /// If there are no images, or none of them can be read.
    pub fn compute(
        images: &dyn Images,
        side: usize,
        threads: usize,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(Statistics, Vec<Skipped>), Error> {
        let n_images = images.len();
        let next = AtomicUsize::new(0);
        let n_done = AtomicUsize::new(0);
        let work = || {
            let mut sums = Sums::new(side);
            let mut rgb = vec![0; side * side * 3];
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= n_images {
                    return sums;
                }
                match images.read(index, &mut rgb) {
                    Ok(()) => sums.add_image(&rgb),
                    Err(error) => {
                        sums.skipped.push((index, Skipped::new(images.name(index), &error)));
                    }
                }
                progress(n_done.fetch_add(1, Ordering::Relaxed) + 1);
            }
        };
        let mut total = Sums::new(side);
        thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads.min(n_images)).map(|_| scope.spawn(work)).collect();
            total.merge(work());
            for helper in helpers {
                total.merge(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
        });
        total.skipped.sort_unstable_by_key(|&(index, _)| index);
        let skipped: Vec<Skipped> = total.skipped.drain(..).map(|(_, skipped)| skipped).collect();
        if total.images == 0 {
            return Err(match skipped.into_iter().next() {
                Some(first) => Error::NoneReadable { n_images, first },
                None => Error::NoImages,
            });
        }
        Ok((Statistics::from_sums(side, &total), skipped))
    }

    pub(crate) fn from_sums(side: usize, sums: &Sums) -> Statistics {
        let covariance = covariance(side, sums);
        let (eigenvalues, eigenvectors) = symmetric_eigen(covariance);
        let mean = sums.bytes.iter().map(|&sum| (sum as f64 / sums.images as f64) as f32).collect();
        Statistics { side, images: sums.images, mean, covariance, eigenvalues, eigenvectors }
    }
}

/// `(n * sum(xy) - sum(x) * sum(y)) / n^2` for each pair of channels: exact up to the division.
///
/// For 10^8 images of 256x256, n is 7e12 and the products 3e30, far below the 1.7e38 of an i128.
fn covariance(side: usize, sums: &Sums) -> [[f64; 3]; 3] {
    let n_pixels = u128::from(sums.images) * (side as u128 * side as u128);
    let mut channels = [0_u128; 3];
    for pixel in sums.bytes.chunks_exact(3) {
        for (sum, &value) in channels.iter_mut().zip(pixel) {
            *sum += u128::from(value);
        }
    }
    let mut covariance = [[0.0; 3]; 3];
    for (&product, (a, b)) in sums.products.iter().zip(PAIRS) {
        let scaled = (n_pixels * product) as i128 - (channels[a] * channels[b]) as i128;
        let value = scaled as f64 / (n_pixels as f64 * n_pixels as f64);
        covariance[a][b] = value;
        covariance[b][a] = value;
    }
    covariance
}

/// Eigenvalues (largest first, none below 0) and unit eigenvectors (as rows) of a symmetric positive
/// semi-definite matrix, by Jacobi rotations: each makes one off-diagonal element zero, and the sum
/// of their squares shrinks until it is below rounding.
fn symmetric_eigen(mut a: [[f64; 3]; 3]) -> ([f64; 3], [[f64; 3]; 3]) {
    const MAX_SWEEPS: usize = 32; // about six are needed
    let mut vectors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _ in 0..MAX_SWEEPS {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q] != 0.0 {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    let floor = a[order[0]][order[0]].max(0.0) * 1e-12;
    let eigenvalues = order.map(|i| if a[i][i] > floor { a[i][i] } else { 0.0 });
    (eigenvalues, order.map(|i| with_positive_peak(vectors[i])))
}

/// One Jacobi rotation of rows and columns `p` and `q` that makes `a[p][q]` zero; `vectors` has the
/// eigenvectors as rows.
fn rotate(a: &mut [[f64; 3]; 3], vectors: &mut [[f64; 3]; 3], p: usize, q: usize) {
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let tan = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cos = 1.0 / (tan * tan + 1.0).sqrt();
    let sin = tan * cos;
    let off = a[p][q];
    a[p][p] -= tan * off;
    a[q][q] += tan * off;
    let other = 3 - p - q;
    let (with_p, with_q) = (a[other][p], a[other][q]);
    let (new_p, new_q) = (cos * with_p - sin * with_q, sin * with_p + cos * with_q);
    (a[other][p], a[p][other]) = (new_p, new_p);
    (a[other][q], a[q][other]) = (new_q, new_q);
    (a[p][q], a[q][p]) = (0.0, 0.0);
    let (old_p, old_q) = (vectors[p], vectors[q]);
    vectors[p] = array::from_fn(|k| cos * old_p[k] - sin * old_q[k]);
    vectors[q] = array::from_fn(|k| sin * old_p[k] + cos * old_q[k]);
}

/// The vector or its negative, whichever has a positive largest component.
fn with_positive_peak(vector: [f64; 3]) -> [f64; 3] {
    let peak = vector.iter().fold(0.0_f64, |peak, &x| if x.abs() > peak.abs() { x } else { peak });
    if peak < 0.0 { vector.map(|x| -x) } else { vector }
}

#[cfg(test)]
mod tests;
