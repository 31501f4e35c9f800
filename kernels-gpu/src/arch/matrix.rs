//! Tensor cores: loads of 8x8 matrices, and their product.

use core::arch::asm;

/// Reads four 8x8 matrices of 16-bit elements; lane `8 * i + r` gives the address of row `r` of
/// matrix `i`, and gets elements `2 * (lane % 4)` and the next of row `lane / 4` of each matrix.
///
/// # Safety
/// All lanes of the warp reach it; `address` is that of 16 bytes in the pool, aligned to 16, written
/// before a barrier.
#[inline(always)]
pub unsafe fn load_matrices(address: u32) -> [u32; 4] {
    let (a, b, c, d);
    // SAFETY: the caller's contract.
    unsafe {
        asm!("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{{}, {}, {}, {}}}, [{}];",
            out(reg32) a, out(reg32) b, out(reg32) c, out(reg32) d, in(reg32) address, options(nostack));
    }
    [a, b, c, d]
}

/// As [`load_matrices`], but of each matrix transposed: a lane gets elements of column `lane / 4`, of rows
/// `2 * (lane % 4)` and the next.
///
/// # Safety
/// As [`load_matrices`].
#[inline(always)]
pub unsafe fn load_matrices_transposed(address: u32) -> [u32; 4] {
    let (a, b, c, d);
    // SAFETY: the caller's contract.
    unsafe {
        asm!("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {{{}, {}, {}, {}}}, [{}];",
            out(reg32) a, out(reg32) b, out(reg32) c, out(reg32) d, in(reg32) address, options(nostack));
    }
    [a, b, c, d]
}

/// `sum += a * b`: 16x8 floats from 16x16 and 16x8 bf16, over the warp.
///
/// # Safety
/// All lanes of the warp reach it.
#[inline(always)]
pub unsafe fn multiply_bf16(sum: &mut [f32; 4], a: [u32; 4], b: [u32; 2]) {
    // SAFETY: the caller's contract; it is arithmetic on registers.
    unsafe {
        asm!("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 \
            {{{0}, {1}, {2}, {3}}}, {{{4}, {5}, {6}, {7}}}, {{{8}, {9}}}, {{{0}, {1}, {2}, {3}}};",
            inout(reg32) sum[0], inout(reg32) sum[1], inout(reg32) sum[2], inout(reg32) sum[3],
            in(reg32) a[0], in(reg32) a[1], in(reg32) a[2], in(reg32) a[3], in(reg32) b[0], in(reg32) b[1],
            options(nostack));
    }
}
