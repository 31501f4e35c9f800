//! Accesses that ask for their addresses and move nothing: what is left of one in a kernel's skeleton.

use super::Checked;
use super::access::{Reach, each_area};
use super::lanes::Regs;
use super::races::Deed;
use super::warp::Lanes;
use crate::observe::{Observer, Step};
use crate::ptx::{Addr, Area, Op};

/// Checks and reports an access; one of the block's or the thread's own memory only where somebody looks at those.
pub(super) fn execute<O: Observer>(
    reach: &mut Reach<'_, O>,
    regs: &mut Regs,
    lanes: &mut Lanes,
    op: &Op,
    step: Step,
) -> Checked<()> {
    let mut touch = |regs: &mut Regs, addr: Addr, bytes, deed, of: u32| {
        if of == 0 || !O::OWN && matches!(addr.area, Area::Shared | Area::Local) {
            return Ok(());
        }
        each_area(reach, regs, lanes, addr, Step { lanes: of, ..step }, bytes, deed, |_, _, _, _| Ok(()))
    };
    match *op {
        Op::Ld { addr, bytes, n, .. } => touch(regs, addr, bytes * n, Deed::READ, step.lanes),
        Op::St { addr, bytes, n, .. } => touch(regs, addr, bytes * n, Deed::WRITE, step.lanes),
        Op::Atom { addr, wide, .. } => touch(regs, addr, if wide { 8 } else { 4 }, Deed::ATOMIC, step.lanes),
        // Lanes 0..8n give the rows of n matrices.
        Op::LdMatrix { addr, n, .. } => {
            touch(regs, addr, 16, Deed::MATRIX, if n == 4 { !0 } else { (1 << (8 * n)) - 1 })
        }
        Op::CpAsync { dst, src, bytes, size, ignore } => {
            let takes = |lane: usize| size.is_none_or(|row| regs.get(row)[lane] > 0);
            let taking = (0..32).fold(0, |taking, lane| taking | u32::from(takes(lane)) << lane);
            let ignored = ignore.map_or(0, |ignore| regs.guard(ignore));
            touch(regs, src, bytes, Deed::READ, step.lanes & taking & !ignored)?;
            touch(regs, dst, bytes, Deed::WRITE, step.lanes)
        }
        _ => Ok(()),
    }
}
