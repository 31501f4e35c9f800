//! Scalar types, special registers and constants of decoded code.

/// Kind of a scalar type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bits,
    Unsigned,
    Signed,
    Float,
    Bf16,
    Pred,
}

/// A scalar type such as `.u32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ty {
    pub(crate) kind: Kind,
    pub(crate) bits: u8,
}

impl Ty {
    pub(crate) fn parse(text: &str) -> Option<Ty> {
        let (kind, bits) = match text {
            "pred" => (Kind::Pred, 1),
            "bf16" => (Kind::Bf16, 16),
            _ => {
                let kind = match text.as_bytes().first()? {
                    b'b' => Kind::Bits,
                    b'u' => Kind::Unsigned,
                    b's' => Kind::Signed,
                    b'f' => Kind::Float,
                    _ => return None,
                };
                (kind, text[1..].parse().ok()?)
            }
        };
        let known = matches!(
            (kind, bits),
            (Kind::Bits | Kind::Unsigned | Kind::Signed, 8 | 16 | 32 | 64)
                | (Kind::Float, 16 | 32 | 64)
                | (Kind::Bf16, 16)
                | (Kind::Pred, 1)
        );
        known.then_some(Ty { kind, bits })
    }

    pub(crate) fn signed(self) -> bool {
        self.kind == Kind::Signed
    }

    pub(crate) fn float(self) -> bool {
        matches!(self.kind, Kind::Float | Kind::Bf16)
    }
}

/// A read-only register that tells a thread where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Special {
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    LaneId,
    WarpId,
    NWarpId,
    SmId,
    LaneMask(LaneMask),
    DynamicShared,
    TotalShared,
}

/// Which lanes a `%lanemask_*` register names, relative to the own one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LaneMask {
    Eq,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Special {
    pub(crate) fn parse(name: &str) -> Option<Special> {
        let axis = |axis: &str| ["x", "y", "z"].iter().position(|a| *a == axis).map(|a| a as u8);
        if let Some((register, part)) = name.split_once('.') {
            let axis = axis(part)?;
            return Some(match register {
                "%tid" => Special::Tid(axis),
                "%ntid" => Special::Ntid(axis),
                "%ctaid" => Special::Ctaid(axis),
                "%nctaid" => Special::Nctaid(axis),
                _ => return None,
            });
        }
        Some(match name {
            "%laneid" => Special::LaneId,
            "%warpid" => Special::WarpId,
            "%nwarpid" => Special::NWarpId,
            "%smid" => Special::SmId,
            "%lanemask_eq" => Special::LaneMask(LaneMask::Eq),
            "%lanemask_lt" => Special::LaneMask(LaneMask::Lt),
            "%lanemask_le" => Special::LaneMask(LaneMask::Le),
            "%lanemask_gt" => Special::LaneMask(LaneMask::Gt),
            "%lanemask_ge" => Special::LaneMask(LaneMask::Ge),
            "%dynamic_smem_size" => Special::DynamicShared,
            "%total_smem_size" => Special::TotalShared,
            _ => return None,
        })
    }

    /// Whether threads of one warp may see different values.
    pub(crate) fn varies_in_warp(self) -> bool {
        matches!(self, Special::Tid(_) | Special::LaneId | Special::LaneMask(_))
    }
}

/// What a row of the register file holds before the first instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Const {
    Bits(u64),
    Special(Special),
    /// Address of the module's variable of that number.
    Variable(usize),
}
