//! Planes to pixels: full resolution by libjpeg's triangle filter ("fancy upsampling"), then RGB.

use super::Plane;
use super::header::Header;

/// Fills `rgb` from grey, or from Y, Cb and Cr.
#[inline(always)]
pub(super) fn convert(header: &Header, planes: &[Plane], rgb: &mut [u8]) {
    let rows = rgb.chunks_exact_mut(header.width * 3).enumerate();
    match planes {
        [luma, blue, red] => {
            let (across, down) = header.most();
            let mut blue_row = Widened::new(blue.width);
            let mut red_row = Widened::new(red.width);
            for (y, row) in rows {
                let blues = blue_row.row(blue, y, across, down);
                let reds = red_row.row(red, y, across, down);
                ycc_row(luma.row(y), blues, reds, row);
            }
        }
        _ => {
            for (y, row) in rows {
                row.as_chunks_mut().0.iter_mut().zip(planes[0].row(y)).for_each(|(pixel, &grey)| *pixel = [grey; 3]);
            }
        }
    }
}

impl Plane {
    #[inline(always)]
    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.width]
    }
}

/// A row of a colour plane at full resolution.
struct Widened {
    /// Weighted sums of two rows, the first and the last once more at the ends.
    sums: Vec<u16>,
    /// Two samples for each sum.
    samples: Vec<u8>,
}

impl Widened {
    fn new(width: usize) -> Widened {
        Widened { sums: vec![0; width + 2], samples: vec![0; width * 2] }
    }

    /// Row `y` of the picture, whose resolution is `across` and `down` times that of the plane.
    #[inline(always)]
    fn row<'a>(&'a mut self, plane: &'a Plane, y: usize, across: usize, down: usize) -> &'a [u8] {
        if across == 1 {
            return plane.row(y);
        }
        let width = plane.width;
        let inner = &mut self.sums[1..=width];
        if down == 1 {
            inner.iter_mut().zip(plane.row(y)).for_each(|(sum, &value)| *sum = u16::from(value));
        } else {
            // The nearer row counts three times.
            let near = y / 2;
            let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(plane.height - 1) };
            for ((sum, &near), &far) in inner.iter_mut().zip(plane.row(near)).zip(plane.row(far)) {
                *sum = 3 * u16::from(near) + u16::from(far);
            }
        }
        self.sums[0] = self.sums[1];
        self.sums[width + 1] = self.sums[width];
        let (left, centre, right) = (&self.sums[..width], &self.sums[1..], &self.sums[2..]);
        let pairs = self.samples.as_chunks_mut().0.iter_mut().zip(left).zip(centre).zip(right);
        if down == 1 {
            pairs.for_each(|(((pair, left), centre), right)| {
                *pair = [((3 * centre + left + 1) >> 2) as u8, ((3 * centre + right + 2) >> 2) as u8];
            });
        } else {
            pairs.for_each(|(((pair, left), centre), right)| {
                *pair = [((3 * centre + left + 8) >> 4) as u8, ((3 * centre + right + 7) >> 4) as u8];
            });
        }
        &self.samples
    }
}

/// `1.402` and the like with 16 bits of fraction, rounded as libjpeg's tables are.
#[inline(always)]
fn ycc_row(luma: &[u8], blue: &[u8], red: &[u8], rgb: &mut [u8]) {
    const HALF: i32 = 1 << 15;
    for (((pixel, &y), &cb), &cr) in rgb.as_chunks_mut().0.iter_mut().zip(luma).zip(blue).zip(red) {
        let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
        let r = y + ((91881 * cr + HALF) >> 16);
        let g = y + ((-22554 * cb - 46802 * cr + HALF) >> 16);
        let b = y + ((116_130 * cb + HALF) >> 16);
        *pixel = [r, g, b].map(|value| value.clamp(0, 255) as u8);
    }
}
