//! From stored pixels to the network's input.

use crate::ops::{Augment, Step};

/// `(rgb[n, top + y, left + (flip ? crop - 1 - x : x), c] - mean[y, x, c]) * scale + shift[c]`
pub(super) fn forward(op: &Augment, step: &Step, mean: &[f64]) -> Vec<f64> {
    let mut pixels = Vec::new();
    for (n, draw) in step.draws.iter().enumerate() {
        for y in 0..op.crop {
            for x in 0..op.crop {
                for c in 0..3 {
                    let row = draw.top as usize + y;
                    let column = draw.left as usize + if draw.flip { op.crop - 1 - x } else { x };
                    let pixel = f64::from(step.rgb[((n * op.side + row) * op.side + column) * 3 + c]);
                    let centred = pixel - mean[(y * op.crop + x) * 3 + c];
                    pixels.push(centred * f64::from(draw.scale) + f64::from(draw.shift[c]));
                }
            }
        }
    }
    match op.blocks {
        Some(blocks) => blocks.of_pixels(&pixels, [op.crop, op.crop, 3]),
        None => pixels,
    }
}
