//! Counter-based randomness: Philox 4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011).
//!
//! Every random number is a function of (seed, epoch, image, use), so crops and masks are the same after a resume, on
//! every device and for any number of threads. The rounds are `kernels-gpu`'s, whose kernels compute them, too.

pub use kernels_gpu::philox::philox4x32;

/// What a random number is used for; keeps the streams apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Use {
    /// Initial weights.
    Init = 1,
    /// Crop and flip.
    Crop = 2,
    /// Colour noise.
    Colour = 3,
    /// Dropout of the layer that is added to this.
    Dropout = 16,
}

/// Four random words for (seed, epoch, item, use), the `index`-th such block.
pub fn words(seed: u64, epoch: u32, item: u32, usage: u32, index: u32) -> [u32; 4] {
    philox4x32([index, item, epoch, usage], [seed as u32, (seed >> 32) as u32])
}

/// The random word that decides whether a unit is dropped (see [`crate::ops::DropoutShape`]).
pub fn dropout_word(seed: u64, epoch: u32, image: u32, layer: u32, unit: u32) -> u32 {
    words(seed, epoch, image, Use::Dropout as u32 + layer, unit / 4)[(unit % 4) as usize]
}

/// A whole number in `0..n`: the high half of a product, without bias that matters for `n` far below 2^32.
pub fn below(word: u32, n: u32) -> u32 {
    ((u64::from(word) * u64::from(n)) >> 32) as u32
}

/// Four standard normal numbers from four words (Box-Muller, in f64).
pub fn normals(words: [u32; 4]) -> [f64; 4] {
    let unit = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0;
    let pair = |a: u32, b: u32| {
        let radius = (-2.0 * unit(a).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * unit(b)).sin_cos();
        (radius * cos, radius * sin)
    };
    let ((a, b), (c, d)) = (pair(words[0], words[1]), pair(words[2], words[3]));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_mean_0_and_deviation_1() {
        let sample: Vec<f64> = (0..20_000).flat_map(|i| normals(words(7, 0, 0, Use::Init as u32, i))).collect();
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / sample.len() as f64;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn below_reaches_every_value_equally() {
        let mut counts = [0_u32; 33];
        for i in 0..33_000 {
            counts[below(words(1, 0, i, Use::Crop as u32, 0)[0], 33) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
    }
}
