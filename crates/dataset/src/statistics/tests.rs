//! Statistics against plain f64 sums, and the eigen solver by what defines eigenvectors.

use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ImageFault;

const SIDE: usize = 5;

/// Noise with correlated channels; every seventh image from the fourth on is unreadable.
struct Noise {
    n: usize,
    broken: bool,
    grey: bool,
}

impl Noise {
    fn byte(&self, index: usize, at: usize) -> u8 {
        let hash = |x: usize| (x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let common = hash(index * 1_000 + at / 3) % 180;
        let own = if self.grey { 0 } else { hash(index * 777 + at * 31) % (20 + 20 * (at as u64 % 3)) };
        (common + own) as u8
    }

    fn is_broken(&self, index: usize) -> bool {
        self.broken && index % 7 == 3
    }
}

impl Images for Noise {
    fn len(&self) -> usize {
        self.n
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn name(&self, index: usize) -> String {
        format!("noise {index}")
    }

    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error> {
        thread::sleep(Duration::from_micros(50)); // so that every thread gets some
        for (at, byte) in rgb.iter_mut().enumerate() {
            *byte = self.byte(index, at);
        }
        if self.is_broken(index) {
            return Err(Error::Image { path: self.name(index).into(), fault: ImageFault::Truncated });
        }
        Ok(())
    }
}

fn compute(images: &Noise, threads: usize) -> Result<(Statistics, Vec<Skipped>), Error> {
    Statistics::compute(images, SIDE, threads, &|_| ())
}

#[test]
fn equal_to_naive_sums() {
    let images = Noise { n: 60, broken: true, grey: false };
    let (statistics, skipped) = compute(&images, 2).unwrap();
    let readable: Vec<usize> = (0..60).filter(|&index| !images.is_broken(index)).collect();
    assert_eq!(statistics.images, readable.len() as u64);
    let names: Vec<&str> = skipped.iter().map(|skipped| skipped.name.as_str()).collect();
    assert_eq!(names[..3], ["noise 3", "noise 10", "noise 17"]);
    assert_eq!(names.len(), 60 - readable.len());
    assert!(skipped[0].reason.contains("truncated") && !skipped[0].reason.contains("noise"));

    for (at, &mean) in statistics.mean.iter().enumerate() {
        let sum: f64 = readable.iter().map(|&index| f64::from(images.byte(index, at))).sum();
        assert!((f64::from(mean) - sum / readable.len() as f64).abs() < 1e-5);
    }
    let pixels: Vec<[f64; 3]> = readable
        .iter()
        .flat_map(|&index| (0..SIDE * SIDE).map(move |pixel| (index, pixel)))
        .map(|(index, pixel)| array::from_fn(|c| f64::from(images.byte(index, pixel * 3 + c))))
        .collect();
    let n = pixels.len() as f64;
    let mean: [f64; 3] = array::from_fn(|c| pixels.iter().map(|pixel| pixel[c]).sum::<f64>() / n);
    for a in 0..3 {
        for b in 0..3 {
            let products = pixels.iter().map(|pixel| (pixel[a] - mean[a]) * (pixel[b] - mean[b]));
            let expected = products.sum::<f64>() / n;
            let got = statistics.covariance[a][b];
            assert!((got - expected).abs() < 1e-9 * expected.abs(), "{a}{b}: {got}, {expected}");
        }
    }
}

#[test]
fn identical_for_any_number_of_threads() {
    let images = Noise { n: 100, broken: true, grey: false };
    let one = compute(&images, 1).unwrap();
    for threads in [0, 2, 3, 500] {
        assert_eq!(one, compute(&images, threads).unwrap());
    }
}

#[test]
fn grey_images_have_one_colour_direction() {
    let (statistics, _) = compute(&Noise { n: 50, broken: false, grey: true }, 2).unwrap();
    assert!(statistics.eigenvalues[0] > 1_000.0);
    assert_eq!(statistics.eigenvalues[1..], [0.0, 0.0]);
    for component in statistics.eigenvectors[0] {
        assert!((component - 1.0 / 3.0_f64.sqrt()).abs() < 1e-12);
    }
}

#[test]
fn progress_counts_every_image_once() {
    let seen = Mutex::new(Vec::new());
    let images = Noise { n: 30, broken: true, grey: false };
    Statistics::compute(&images, SIDE, 3, &|done| seen.lock().unwrap().push(done)).unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (1..=30).collect::<Vec<_>>());
}

#[test]
fn nothing_readable_is_an_error() {
    assert!(matches!(compute(&Noise { n: 0, broken: false, grey: false }, 2), Err(Error::NoImages)));
    struct Unreadable;
    impl Images for Unreadable {
        fn len(&self) -> usize {
            4
        }
        fn label(&self, _: usize) -> u32 {
            0
        }
        fn name(&self, index: usize) -> String {
            format!("{index}.jpg")
        }
        fn read(&self, index: usize, _: &mut [u8]) -> Result<(), Error> {
            Err(Error::Image { path: self.name(index).into(), fault: ImageFault::Empty })
        }
    }
    let error = Statistics::compute(&Unreadable, SIDE, 2, &|_| ()).unwrap_err().to_string();
    let expected = "none of the 4 images could be read; the first is 0.jpg: the file is empty; check the data";
    assert_eq!(error, expected);
}

proptest! {
    #[test]
    fn eigenvectors_are_what_they_should_be(
        factor in prop::array::uniform3(prop::array::uniform3(-100.0..100.0_f64)),
        rank in 0_usize..4,
    ) {
        // A covariance is F F^T; fewer columns make it singular.
        let a: [[f64; 3]; 3] = array::from_fn(|i| {
            array::from_fn(|j| (0..rank).map(|k| factor[i][k] * factor[j][k]).sum())
        });
        let (values, vectors) = symmetric_eigen(a);
        let size = values[0].max(1e-300);
        prop_assert!(values[0] >= values[1] && values[1] >= values[2] && values[2] >= 0.0);
        for (i, (value, vector)) in values.iter().zip(vectors).enumerate() {
            for row in 0..3 {
                let product: f64 = (0..3).map(|k| a[row][k] * vector[k]).sum();
                prop_assert!((product - value * vector[row]).abs() <= 1e-11 * size);
            }
            for (j, other) in vectors.iter().enumerate() {
                let dot: f64 = (0..3).map(|k| vector[k] * other[k]).sum();
                prop_assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
            let peak = vector.iter().fold(0.0_f64, |peak, x| peak.max(x.abs()));
            prop_assert!(vector.contains(&peak), "the largest component is positive");
        }
    }
}
