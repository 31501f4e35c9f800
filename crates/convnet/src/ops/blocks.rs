//! Images as blocks of pixels (space to depth): a convolution with a stride is one without over blocks as wide as the
//! stride.
//!
//! `blocks[n, i, j, (y, x, c)] = image[n, i * side + y - pad, j * side + x - pad, c]`, 0 beyond the border; so the
//! padding lies in the blocks. [`super::Augment`] writes the input so where a device prefers it
//! ([`super::Device::prefers_blocks`]); nothing but the first layer then reads it.

/// Extents of an image in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// The side of a block, in pixels.
    pub side: usize,
    /// Zero pixels above and to the left of the image.
    pub pad: usize,
    /// Rows of blocks.
    pub rows: usize,
    /// Blocks in a row.
    pub columns: usize,
}

impl Blocks {
    /// Maps of a block, of an image with so many.
    pub fn maps(&self, channels: usize) -> usize {
        self.side * self.side * channels
    }

    /// Floats of an image.
    pub fn image_len(&self, channels: usize) -> usize {
        self.rows * self.columns * self.maps(channels)
    }

    /// Where the first map of a pixel lies, which is counted from the padding's corner.
    pub fn pixel(&self, channels: usize, row: usize, column: usize) -> usize {
        let block = row / self.side * self.columns + column / self.side;
        block * self.maps(channels) + (row % self.side * self.side + column % self.side) * channels
    }

    /// The blocks of images of these rows, columns and maps.
    pub fn of_pixels<T: Copy + Default>(&self, pixels: &[T], [height, width, channels]: [usize; 3]) -> Vec<T> {
        let mut blocks = Vec::new();
        for image in pixels.chunks_exact(height * width * channels) {
            let first = blocks.len();
            blocks.resize(first + self.image_len(channels), T::default());
            // What lies behind the last block is left out.
            for row in 0..height.min((self.rows * self.side).saturating_sub(self.pad)) {
                for column in 0..width.min((self.columns * self.side).saturating_sub(self.pad)) {
                    let to = first + self.pixel(channels, row + self.pad, column + self.pad);
                    blocks[to..][..channels].copy_from_slice(&image[(row * width + column) * channels..][..channels]);
                }
            }
        }
        blocks
    }
}
