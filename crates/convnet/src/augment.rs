//! Random draws and fixed views: what [`crate::ops::Augment`] does to each image (paper, sections 4.1 and 4).

use crate::net::{AugmentRule, ColourBasis, MeanKind};
use crate::ops::Draw;
use crate::philox::{self, Use};

/// Makes the draws of a data set under a net's rule.
#[derive(Clone, Debug)]
pub struct Sampler {
    rule: AugmentRule,
    /// Row `i`: the shift in levels (0..255) of a colour factor of 1 along the `i`-th eigenvector.
    colour: [[f64; 3]; 3],
}

impl Sampler {
    /// `eigenvalues` and `eigenvectors` (row `i` belongs to eigenvalue `i`) are those of the covariance of the
    /// training pixels' RGB on 0..255.
    pub fn new(rule: &AugmentRule, eigenvalues: [f64; 3], eigenvectors: [[f64; 3]; 3]) -> Sampler {
        let mut colour = eigenvectors;
        for (vector, eigenvalue) in colour.iter_mut().zip(eigenvalues) {
            let levels = match rule.colour_basis {
                ColourBasis::Deviation => eigenvalue.max(0.0).sqrt(),
                // lambda of pixels on 0..1 is eigenvalue / 255^2; the shift is then in units of 255 levels.
                ColourBasis::Eigenvalue => eigenvalue.max(0.0) / 255.0,
            };
            vector.iter_mut().for_each(|component| *component *= levels);
        }
        Sampler { rule: rule.clone(), colour }
    }

    /// What is subtracted, `[crop, crop, 3]`, from a mean image `[image, image, 3]`.
    ///
    /// # Panics
    /// When `mean_image` has another size.
    pub fn mean(&self, mean_image: &[f32]) -> Vec<f32> {
        let AugmentRule { image, crop, mean, .. } = self.rule;
        assert_eq!(mean_image.len(), image * image * 3, "mean image");
        match mean {
            MeanKind::Image => {
                let border = (image - crop) / 2;
                let row = |y: usize| &mean_image[((border + y) * image + border) * 3..][..crop * 3];
                (0..crop).flat_map(row).copied().collect()
            }
            MeanKind::Scalar => {
                let sum: f64 = mean_image.iter().map(|&value| f64::from(value)).sum();
                vec![(sum / mean_image.len() as f64) as f32; crop * crop * 3]
            }
        }
    }

    /// Random crops, flips and colour noise of the images `ids` in an epoch. `colour_noise` is the standard deviation
    /// of the factors; 0 draws no noise and divides by nothing.
    pub fn training(&self, seed: u64, epoch: u32, ids: &[u32], colour_noise: f64) -> Vec<Draw> {
        let rule = &self.rule;
        // Fewer positions than the image allows are those in the middle; the paper's 32 of 33 leave out the last one.
        let positions = rule.positions as u32;
        let first = ((rule.image - rule.crop + 1 - rule.positions) / 2) as u32;
        let draw = |(index, &id): (usize, &u32)| {
            let leader = ids[index / rule.chunk * rule.chunk];
            let place = philox::words(seed, epoch, leader, Use::Crop as u32, 0);
            let (scale, shift) = self.noise(seed, epoch, id, colour_noise);
            Draw {
                top: first + philox::below(place[0], positions),
                left: first + philox::below(place[1], positions),
                flip: rule.flip && place[2] & 1 == 1,
                scale,
                shift,
            }
        };
        ids.iter().enumerate().map(draw).collect()
    }

    fn noise(&self, seed: u64, epoch: u32, id: u32, deviation: f64) -> (f32, [f32; 3]) {
        if deviation == 0.0 {
            return (1.0, [0.0; 3]);
        }
        let factors = philox::normals(philox::words(seed, epoch, id, Use::Colour as u32, 0));
        let shift = [0, 1, 2].map(|channel| {
            let sum: f64 = (0..3).map(|i| factors[i] * deviation * self.colour[i][channel]).sum();
            (sum / self.rule.colour_divide) as f32
        });
        ((1.0 / self.rule.colour_divide) as f32, shift)
    }

    /// A fixed view of `images` images.
    pub fn view(&self, view: View, images: usize) -> Vec<Draw> {
        let last = (self.rule.image - self.rule.crop) as u32;
        let (top, left, flip) = match view {
            View::Centre => (last / 2, last / 2, false),
            View::Ten(index) => {
                let (top, left) =
                    [(0, 0), (0, last), (last / 2, last / 2), (last, 0), (last, last)][index as usize % 5];
                (top, left, index >= 5)
            }
        };
        vec![Draw { top, left, flip, scale: 1.0, shift: [0.0; 3] }; images]
    }
}

/// A fixed crop of a test image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The centre.
    Centre,
    /// One of ten: four corners and the centre, then their mirror images (paper, section 4.1).
    Ten(u8),
}

impl View {
    /// The views that are averaged for `crops` 1 or 10.
    pub fn of(crops: usize) -> Vec<View> {
        if crops == 10 { (0..10).map(View::Ten).collect() } else { vec![View::Centre] }
    }
}
