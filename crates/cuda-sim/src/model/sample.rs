//! Classes of blocks that are taken to do the same.

/// Blocks of a grid that lie alike in it: inside, or on the same edge or corner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// How many there are.
    pub size: u64,
    /// Some of them, by their numbers in the grid, ascending.
    pub samples: Vec<u64>,
}

/// The classes of a grid, each with at most `most` samples, spread evenly over it. In each direction the first and the
/// last block are edges: they are where a kernel pads, or stops early.
pub fn classes(grid: [u32; 3], most: u64) -> Vec<Class> {
    let [x_parts, y_parts, z_parts] = grid.map(parts);
    let mut classes = Vec::new();
    for &z in &z_parts {
        for &y in &y_parts {
            for &x in &x_parts {
                let size = x.1 * y.1 * z.1;
                let n = size.min(most.max(1));
                // The middle of each of `n` equal pieces of the class.
                let samples = (0..n).map(|i| {
                    let index = (2 * i + 1) * size / (2 * n);
                    let (x, y, z) = (x.0 + index % x.1, y.0 + index / x.1 % y.1, z.0 + index / (x.1 * y.1));
                    x + u64::from(grid[0]) * (y + u64::from(grid[1]) * z)
                });
                classes.push(Class { size, samples: samples.collect() });
            }
        }
    }
    classes
}

/// First block, inner blocks and last block of a direction, each as (first, how many).
fn parts(n: u32) -> Vec<(u64, u64)> {
    let n = u64::from(n);
    let parts = [(0, 1), (1, n.saturating_sub(2)), (n - 1, u64::from(n > 1))];
    parts.into_iter().filter(|part| part.1 > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_in_one_class() {
        for grid in [[1, 1, 1], [2, 1, 1], [7, 1, 2], [3, 4, 5], [50, 2, 3]] {
            let blocks: u64 = grid.iter().map(|&n| u64::from(n)).product();
            let mut seen: Vec<u64> = classes(grid, u64::MAX / 4 / blocks).into_iter().flat_map(|c| c.samples).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..blocks).collect::<Vec<_>>(), "{grid:?}");
            for class in classes(grid, 3) {
                assert_eq!(class.samples.len() as u64, class.size.min(3));
                assert!(class.samples.is_sorted_by(|a, b| a < b), "{class:?}");
            }
        }
    }

    #[test]
    fn a_row_has_its_ends_and_its_inside() {
        let row = classes([12, 1, 1], 2);
        let of = |size, samples: &[u64]| Class { size, samples: samples.to_vec() };
        assert_eq!(row, [of(1, &[0]), of(10, &[3, 8]), of(1, &[11])]);
    }
}
