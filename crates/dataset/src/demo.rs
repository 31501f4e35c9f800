//! The demo set: 10,000 images of Fashion-MNIST inside the binary.
//!
//! `demo/README.md` says where they come from and how the sheets were made. Images are interleaved by
//! class, so that the first N of a split are balanced. They are padded from 28x28 to 32x32 with
//! zeros, the images' own background, and grey is copied to the three channels.

use std::sync::{Arc, LazyLock};

use crate::{Dataset, Error, Images, decode};

/// Width and height of an image as it is read.
const SIDE: usize = 32;
/// Width and height of an image in a sheet.
const CELL: usize = 28;
/// Zeros on each side.
const PAD: usize = (SIDE - CELL) / 2;
/// Images in a row of a sheet.
const COLUMNS: usize = 20;
/// Training images in a sheet, which come first.
const N_TRAIN: usize = 800;
/// Test images in a sheet.
const N_TEST: usize = 200;

const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// One sheet for each class, in the order of the labels.
static FILES: [&[u8]; CLASSES.len()] = [
    include_bytes!("../demo/0.webp"),
    include_bytes!("../demo/1.webp"),
    include_bytes!("../demo/2.webp"),
    include_bytes!("../demo/3.webp"),
    include_bytes!("../demo/4.webp"),
    include_bytes!("../demo/5.webp"),
    include_bytes!("../demo/6.webp"),
    include_bytes!("../demo/7.webp"),
    include_bytes!("../demo/8.webp"),
    include_bytes!("../demo/9.webp"),
];

/// The grey values of each sheet as it lies in the file, decoded when first read.
static SHEETS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let sheet = |file: &&[u8]| {
        let image = decode::decode(file).expect("an embedded sheet decodes: a test reads them all");
        image.pixels().map(|pixel| pixel.0[0]).collect()
    };
    FILES.iter().map(sheet).collect()
});

impl Dataset {
    /// The demo set: ten classes of Fashion-MNIST, 8,000 training and 2,000 validation images of 32x32.
    pub fn demo() -> Dataset {
        Dataset {
            name: "demo".to_owned(),
            side: SIDE,
            classes: CLASSES.map(str::to_owned).to_vec(),
            train: Arc::new(Demo { split: "train", first: 0, n_of_class: N_TRAIN }),
            val: Arc::new(Demo { split: "test", first: N_TRAIN, n_of_class: N_TEST }),
            statistics: None,
        }
    }
}

struct Demo {
    split: &'static str,
    /// Where the split's images start in each sheet.
    first: usize,
    n_of_class: usize,
}

impl Demo {
    /// Sheet and place in the sheet.
    fn locate(&self, index: usize) -> (usize, usize) {
        assert!(index < self.len(), "image {index} of {}", self.len());
        (index % CLASSES.len(), self.first + index / CLASSES.len())
    }
}

impl Images for Demo {
    fn len(&self) -> usize {
        self.n_of_class * CLASSES.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.locate(index).0 as u32
    }

    fn name(&self, index: usize) -> String {
        format!("demo/{} #{index}", self.split)
    }

    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error> {
        assert_eq!(rgb.len(), SIDE * SIDE * 3, "bytes of a demo image");
        let (sheet, place) = self.locate(index);
        let corner = place / COLUMNS * CELL * COLUMNS * CELL + place % COLUMNS * CELL;
        let rows = SHEETS[sheet][corner..].chunks(COLUMNS * CELL).take(CELL);
        rgb.fill(0);
        for (grey, row) in rows.zip(rgb.chunks_exact_mut(SIDE * 3).skip(PAD)) {
            let pixels = row[PAD * 3..].chunks_exact_mut(3);
            for (&value, pixel) in grey[..CELL].iter().zip(pixels) {
                pixel.fill(value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `demo/make.py` printed for the pixels of the original files.
    const HASH_OF_ORIGINALS: u64 = 0x31d6_adcb_b114_810e;

    #[test]
    fn pixels_are_those_of_the_source() {
        let demo = Dataset::demo();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut rgb = vec![9; SIDE * SIDE * 3];
        for label in 0..10_u32 {
            for split in [&demo.train, &demo.val] {
                for index in (0..split.len()).filter(|&index| split.label(index) == label) {
                    split.read(index, &mut rgb).unwrap();
                    let inside = |at: usize| (PAD..PAD + CELL).contains(&at);
                    for (at, pixel) in rgb.chunks_exact(3).enumerate() {
                        assert!(pixel == [pixel[0]; 3], "not grey");
                        if inside(at / SIDE) && inside(at % SIDE) {
                            hash = (hash ^ u64::from(pixel[0])).wrapping_mul(0x100_0000_01b3);
                        } else {
                            assert_eq!(pixel[0], 0, "the border is zero");
                        }
                    }
                }
            }
        }
        assert_eq!(hash, HASH_OF_ORIGINALS);
    }

    #[test]
    fn splits_are_balanced_and_named() {
        let demo = Dataset::demo();
        assert_eq!((demo.train.len(), demo.val.len()), (8_000, 2_000));
        for split in [&demo.train, &demo.val] {
            for label in 0..10 {
                let n = (0..split.len()).filter(|&index| split.label(index) == label).count();
                assert_eq!(n * 10, split.len());
            }
        }
        assert_eq!(demo.val.name(12), "demo/test #12");
        assert_eq!(demo.classes[demo.val.label(12) as usize], "Pullover");
    }

    #[test]
    fn sheets_are_small() {
        assert!(FILES.iter().map(|file| file.len()).sum::<usize>() <= 4_000_000);
    }
}
