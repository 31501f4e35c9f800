//! What changes from step to step, as kernels read it from device memory: so a recorded step can be replayed with
//! another batch.

/// The step as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StepInfo {
    /// Images.
    pub images: u32,
    /// The epoch, counted from 0.
    pub epoch: u32,
    /// Lower half of the seed.
    pub seed_lo: u32,
    /// Upper half of the seed.
    pub seed_hi: u32,
}

/// What happens to one image when it becomes the network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Draw {
    /// First row of the crop.
    pub top: u32,
    /// First column of the crop.
    pub left: u32,
    /// 1 where the crop is mirrored, or 0.
    pub flip: u32,
    /// Factor of the centred pixels.
    pub scale: f32,
    /// Added to red, green and blue.
    pub shift: [f32; 3],
}

impl StepInfo {
    /// The struct as it lies in memory.
    pub const fn words(self) -> [u32; 4] {
        [self.images, self.epoch, self.seed_lo, self.seed_hi]
    }
}

impl Draw {
    /// The struct as it lies in memory.
    pub const fn words(self) -> [u32; 7] {
        let [red, green, blue] = self.shift;
        let Draw { top, left, flip, scale, .. } = self;
        [top, left, flip, scale.to_bits(), red.to_bits(), green.to_bits(), blue.to_bits()]
    }
}

const _: () = assert!(size_of::<StepInfo>() == 16 && size_of::<Draw>() == 28);
