//! Kernels in which a barrier or an instruction of the whole warp stands between two equal conditions. Without the
//! builder's flags the compiler copies it into the branches; with them it stays where it is.
//!
//! `early_return` is wrong in the source: no flag helps. `checked_index` is right: its branch ends in a trap.
#![no_std]
#![feature(abi_ptx, stdarch_nvptx, asm_experimental_arch, link_llvm_intrinsics, core_float_math)]
#![allow(internal_features, dead_code, unused_imports)]
#![allow(clippy::missing_safety_doc)]

#[path = "../../../src/arch/mod.rs"]
mod arch;

use arch::{barrier, load_matrices, multiply_bf16, shared_base, shared_load, shared_store, shuffle_down, thread};

/// A barrier between a store and a load under the same condition.
#[unsafe(no_mangle)]
pub unsafe extern "ptx-kernel" fn barrier_between(x: *const f32, y: *mut f32, n: u32) {
    // SAFETY: not launched.
    unsafe {
        let (thread, shared) = (thread(), shared_base());
        if thread < n {
            shared_store(shared + thread * 4, *x.add(thread as usize));
        }
        barrier();
        if thread < n {
            *y.add(thread as usize) = shared_load(shared + (thread ^ 1) * 4);
        }
    }
}

/// A shuffle of a value that some threads loaded.
#[unsafe(no_mangle)]
pub unsafe extern "ptx-kernel" fn shuffle_between(x: *const f32, y: *mut f32, n: u32) {
    // SAFETY: not launched.
    unsafe {
        let thread = thread();
        let value = if thread < n { *x.add(thread as usize) } else { 0.0 };
        let other = shuffle_down(value, 1);
        if thread < n {
            *y.add(thread as usize) = other;
        }
    }
}

/// A product of matrices that some threads loaded.
#[unsafe(no_mangle)]
pub unsafe extern "ptx-kernel" fn product_between(x: *const u32, y: *mut f32, n: u32) {
    // SAFETY: not launched.
    unsafe {
        let thread = thread();
        let (mut a, mut b) = ([0; 4], [0; 2]);
        if thread < n {
            a[0] = *x.add(thread as usize);
            b[0] = *x.add(thread as usize + 32);
        }
        let mut sum = [0.0; 4];
        multiply_bf16(&mut sum, a, b);
        if thread < n {
            *y.add(thread as usize) = sum[0];
            *y.add(thread as usize + 32) = sum[1];
        }
    }
}

/// The same with two products.
#[unsafe(no_mangle)]
pub unsafe extern "ptx-kernel" fn two_products(x: *const u32, y: *mut f32, n: u32) {
    // SAFETY: not launched.
    unsafe {
        let thread = thread();
        let inside = thread % 32 < n;
        let (mut a, mut sum) = ([0; 4], [0.0; 4]);
        if inside {
            let x = x.add(thread as usize);
            a = [*x, *x.add(1), *x.add(2), *x.add(3)];
        }
        multiply_bf16(&mut sum, a, [a[0], a[1]]);
        a[0] = if inside { *x.add(thread as usize + 77) } else { 0 };
        multiply_bf16(&mut sum, a, [a[0], a[1]]);
        if inside {
            *y.add(thread as usize) = sum[0] + sum[3];
        }
    }
}

/// A loop with barriers, a load of matrices and a product.
#[unsafe(no_mangle)]
pub unsafe extern "ptx-kernel" fn product_in_a_loop(x: *const f32, y: *mut f32, n: u32, steps: u32) {
    // SAFETY: not launched.
    unsafe {
        let (thread, shared) = (thread(), shared_base());
        let mut sum = [0.0; 4];
        let mut step = 0;
        while step < steps {
            if thread < n {
                shared_store(shared + thread * 16, *x.add((step * 64 + thread) as usize));
            }
            barrier();
            let a = load_matrices(shared + thread % 32 * 16);
            multiply_bf16(&mut sum, a, [a[0], a[1]]);
            if thread < n {
                *y.add((step * 64 + thread) as usize) = sum[0];
            }
            barrier();
            step += 1;
        }
    }
}

/// Some threads leave before the product: wrong whatever the compiler does.
#[unsafe(no_mangle)]
pub unsafe extern "ptx-kernel" fn early_return(x: *const u32, y: *mut f32, n: u32) {
    // SAFETY: not launched.
    unsafe {
        let thread = thread();
        if thread >= n {
            return;
        }
        let value = *x.add(thread as usize);
        let mut sum = [0.0; 4];
        multiply_bf16(&mut sum, [value; 4], [value; 2]);
        *y.add(thread as usize) = sum[0];
    }
}

/// A checked index before a product and a barrier: who fails it ends the launch.
#[unsafe(no_mangle)]
pub unsafe extern "ptx-kernel" fn checked_index(x: *const u32, n: u32, y: *mut f32) {
    // SAFETY: not launched.
    unsafe {
        let thread = thread();
        let value = core::slice::from_raw_parts(x, n as usize)[thread as usize];
        let mut sum = [0.0; 4];
        multiply_bf16(&mut sum, [value; 4], [value; 2]);
        barrier();
        *y.add(thread as usize) = sum[0];
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    arch::trap()
}
