//! How a tile lies in shared memory, which of it a thread multiplies, and how the thread reads that.

use super::TILE_K;
use crate::arch::{F32x4, opaque, shared_load2, shared_load4};

/// A layout of a tile of `LANES * OWN` rows of the left operand, or columns of the right one, of which each of `LANES`
/// threads multiplies `OWN`: 6 or 8, and 2 where terms come last.
pub trait Layout {
    /// Addresses that a thread reads from.
    type Place: Copy;

    /// The tile's row that is row `own` of thread `lane`.
    fn row<const LANES: u32, const OWN: usize>(lane: u32, own: u32) -> u32;

    /// Where thread `lane` reads in the tile at `tile`.
    fn place<const LANES: u32, const OWN: usize>(tile: u32, lane: u32) -> Self::Place;

    /// Terms `4 * group ..`, four of them, each for the rows of the thread.
    ///
    /// # Safety
    /// The place is one in a tile that is written.
    unsafe fn read<const LANES: u32, const OWN: usize>(place: Self::Place, group: u32) -> [[f32; OWN]; 4];
}

/// A term is a row in shared memory. A thread has four neighbours, and then the rest of its rows, also neighbours.
pub struct TermsFirst;

impl TermsFirst {
    /// Bytes from one term to the next, in a tile of `rows`.
    #[inline(always)]
    pub const fn pitch(rows: u32) -> u32 {
        (rows + 4) * 4
    }
}

/// A row is a row in shared memory. A thread has every `LANES`-th. The pitch puts rows that are read together, and
/// those that are written together, into different banks.
pub struct TermsLast;

impl TermsLast {
    /// Bytes from one row to the next.
    pub const PITCH: u32 = (TILE_K + 4) * 4;
}

impl Layout for TermsFirst {
    /// Of the first four rows, and of the rest.
    type Place = [u32; 2];

    #[inline(always)]
    fn row<const LANES: u32, const OWN: usize>(lane: u32, own: u32) -> u32 {
        if own < 4 { 4 * lane + own } else { 4 * LANES + (OWN as u32 - 4) * lane + own - 4 }
    }

    #[inline(always)]
    fn place<const LANES: u32, const OWN: usize>(tile: u32, lane: u32) -> [u32; 2] {
        let first = opaque(tile + lane * 16);
        [first, if OWN == 8 { first + LANES * 16 } else { opaque(tile + LANES * 16 + lane * 8) }]
    }

    #[inline(always)]
    unsafe fn read<const LANES: u32, const OWN: usize>([first, rest]: [u32; 2], group: u32) -> [[f32; OWN]; 4] {
        let mut read = [[0.0; OWN]; 4];
        unroll!(K in 4 {
            let term = (4 * group + K as u32) * TermsFirst::pitch(LANES * OWN as u32);
            // SAFETY: aligned places inside of the tile.
            unsafe {
                let F32x4 { x, y, z, w } = shared_load4(first + term);
                [read[K][0], read[K][1], read[K][2], read[K][3]] = [x, y, z, w];
                if OWN == 8 {
                    let F32x4 { x, y, z, w } = shared_load4(rest + term);
                    [read[K][4], read[K][5], read[K][6], read[K][7]] = [x, y, z, w];
                } else {
                    [read[K][4], read[K][5]] = shared_load2(rest + term);
                }
            }
        });
        read
    }
}

impl Layout for TermsLast {
    type Place = u32;

    #[inline(always)]
    fn row<const LANES: u32, const OWN: usize>(lane: u32, own: u32) -> u32 {
        lane + LANES * own
    }

    #[inline(always)]
    fn place<const LANES: u32, const OWN: usize>(tile: u32, lane: u32) -> u32 {
        opaque(tile + lane * TermsLast::PITCH)
    }

    #[inline(always)]
    unsafe fn read<const LANES: u32, const OWN: usize>(place: u32, group: u32) -> [[f32; OWN]; 4] {
        let mut read = [[0.0; OWN]; 4];
        unroll!(I in 8 {
            if I < OWN {
                // SAFETY: an aligned place inside of the tile.
                let F32x4 { x, y, z, w } =
                    unsafe { shared_load4(place + LANES * TermsLast::PITCH * I as u32 + group * 16) };
                [read[0][I], read[1][I], read[2][I], read[3][I]] = [x, y, z, w];
            }
        });
        read
    }
}
