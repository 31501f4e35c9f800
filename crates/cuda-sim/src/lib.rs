//! Runs PTX on the CPU, a warp at a time, and reports what a GPU would not.
//!
//! In reading order: [`ptx::Module`] parses and decodes PTX that any compiler made, [`cfg::divergences`] finds
//! warp-wide instructions under thread-dependent branches, [`Memory`] is what kernels work on, and [`launch`] runs one.
//!
//! ```
//! use cuda_sim::{Config, Memory, Program, launch};
//!
//! let source = ".version 7.0 .target sm_80 .address_size 64
//!     .visible .entry fill(.param .u64 y, .param .u32 value) {
//!         .reg .b32 %r<3>; .reg .b64 %rd<4>;
//!         ld.param.u64 %rd1, [y];
//!         ld.param.u32 %r1, [value];
//!         mov.u32 %r2, %tid.x;
//!         mul.wide.u32 %rd2, %r2, 4;
//!         add.s64 %rd3, %rd1, %rd2;
//!         st.global.u32 [%rd3], %r1;
//!         ret;
//!     }";
//! let memory = Memory::new();
//! let program = Program::load(source, &memory, 0)?;
//! let y = memory.alloc(0, 64 * 4);
//! let params = [&y.to_le_bytes()[..], &7u32.to_le_bytes()].concat();
//! launch(&program, "fill", &Config::new([1; 3], [64, 1, 1]), &params, &memory)?;
//! let mut last = [0; 4];
//! memory.read(y + 63 * 4, &mut last)?;
//! assert_eq!(u32::from_le_bytes(last), 7);
//! # Ok::<(), cuda_sim::LaunchError>(())
//! ```
//!
//! # What is modelled
//! Warps of 32 lanes with one program counter per set of converged lanes; lanes that part at a branch meet again at
//! its immediate post-dominator. Warps of a block run in turn, each to its next barrier or for 65536 instructions; blocks
//! run on all cores. Orders that a GPU leaves open are those of the numbers, or what [`Config::seed`] picks.
//! Asynchronous copies arrive when they are waited for. Races within a launch are findings ([`Config::races`]), and
//! [`observe::Counters`] counts what a launch did.
//!
//! # What is not
//! - Lanes of a warp do not progress independently: a spin lock between lanes of one warp hangs (and is found by
//!   [`Config::max_instructions`]), and so may a block that waits for another one. A barrier that only some lanes of
//!   a warp execute is a finding even without `.aligned`.
//! - The weak memory model: stores are visible at once, fences do nothing.
//! - `call`, `brx`, textures, f16 arithmetic other than conversions and `mma`, carry chains, roundings of arithmetic
//!   other than to nearest, `mbarrier`, bulk copies and clusters: each is an error when the module is loaded.
//!
//! # The driver
//! [`driver`] is a CUDA driver on top: devices, streams, events and graphs, whose work runs as late as the program allows,
//! in an order drawn from a seed. It says what that can show and what not.
//!
//! What a kernel does wrong ends in a report, never in undefined behaviour of the simulator: unsafe code is only where
//! C's pointers come in, where host memory is shared with the program, and where device memory is allocated as zeros.

pub mod cfg;
pub mod driver;
mod exec;
mod finding;
mod memory;
pub mod model;
pub mod observe;
pub mod ptx;

pub use exec::{Config, Program, Stats, launch, launch_observed};
pub use finding::{Finding, LaunchError, Problem};
pub use memory::{Memory, MemoryError};
