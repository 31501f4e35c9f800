//! Decoded instructions: operands are rows of the register file.
//!
//! A row is one register of all 32 lanes. Registers of 16 and 32 bits share one file, those of 64 bits have another,
//! predicates are bit masks in a third. Immediates and special registers are rows too, filled when a warp starts, so
//! every source is a row.
//!
//! Long: it is one list, of what the simulator can execute.

use super::raw::Reg;
use super::types::{Const, Special, Ty};

/// Number of a row or predicate.
pub(crate) type R = u16;

/// A register in the file that its width selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    W16(R),
    W32(R),
    W64(R),
    None,
}

/// A predicate, perhaps negated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) pred: R,
    pub(crate) negated: bool,
}

/// Sizes of the register files and what their constant rows hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) rows32: usize,
    pub(crate) rows64: usize,
    pub(crate) preds: usize,
    pub(crate) consts32: Vec<(R, Const)>,
    pub(crate) consts64: Vec<(R, Const)>,
}

/// One instruction.
#[derive(Debug, Clone)]
pub(crate) struct Inst {
    pub(crate) op: Op,
    pub(crate) guard: Option<Guard>,
    pub(crate) line: u32,
    /// It reads a register that no path to it has written.
    pub(crate) undefined: bool,
}

/// What an instruction reads and writes, for analyses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) defs: Vec<Reg>,
    pub(crate) uses: Vec<Reg>,
    pub(crate) guard: Option<Reg>,
    /// Those of the uses that are parts of addresses.
    pub(crate) addresses: Vec<Reg>,
    pub(crate) specials: Vec<Special>,
}

/// Integer operations of two operands, at 16, 32 and 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum I2 {
    Add,
    Sub,
    MulLo,
    MulHiU,
    MulHiS,
    DivU,
    DivS,
    RemU,
    RemS,
    MinU,
    MinS,
    MaxU,
    MaxS,
    And,
    Or,
    Xor,
    Shl,
    ShrU,
    ShrS,
    AddSatS,
    SubSatS,
}

/// Integer operations of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum I1 {
    Mov,
    Not,
    Neg,
    Abs,
    Cnot,
    Popc,
    Clz,
    Brev,
    BfindU,
    BfindS,
}

/// 32-bit integer operations of three operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum I3 {
    Mad,
    MadHiU,
    MadHiS,
    BfeU,
    BfeS,
    Prmt,
    Lop3(u8),
    ShfLClamp,
    ShfLWrap,
    ShfRClamp,
    ShfRWrap,
    SadU,
    SadS,
}

/// Floating-point operations of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum F2 {
    Add,
    Sub,
    Mul,
    Div,
    /// `div.full` and `div.approx`
    DivApprox,
    Min,
    Max,
    MinNan,
    MaxNan,
    CopySign,
}

/// Floating-point operations of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum F1 {
    Neg,
    Abs,
    Sqrt,
    Rcp,
    SqrtApprox,
    RcpApprox,
    RsqrtApprox,
    Ex2,
    Lg2,
    Sin,
    Cos,
    Tanh,
}

/// `.ftz` and `.sat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mods {
    pub(crate) ftz: bool,
    pub(crate) sat: bool,
}

/// Comparisons of `setp`; those with `U` also hold when an operand is NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cmp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    EquU,
    NeuU,
    LtuU,
    LeuU,
    GtuU,
    GeuU,
    Num,
    Nan,
}

/// Logic of predicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
    Xor,
}

/// Rounding of `cvt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    None,
    Rn,
    Rz,
    Rm,
    Rp,
    Rni,
    Rzi,
    Rmi,
    Rpi,
}

/// State space of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    Generic,
    Global,
    Shared,
    Local,
    Param,
}

/// `[base + offset]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addr {
    pub(crate) area: Area,
    pub(crate) base: Slot,
    pub(crate) offset: i64,
}

/// Operation of `atom` and `red`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtomOp {
    Add,
    AddF32,
    MinU,
    MinS,
    MaxU,
    MaxS,
    And,
    Or,
    Xor,
    Exch,
    Cas,
    Inc,
    Dec,
}

/// Mode of `shfl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShflMode {
    Idx,
    Up,
    Down,
    Bfly,
}

/// Mode of `vote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Uni,
    Ballot(R),
}

/// What a block barrier does beside waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BarKind {
    Sync,
    Arrive,
    /// Counts, ands or ors a predicate over the block.
    RedPopc(R, Guard),
    RedAnd(R, Guard),
    RedOr(R, Guard),
}

/// Rows of an `mma`: four of A, two of B, four of C and D.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mma {
    pub(crate) bf16: bool,
    pub(crate) d: [R; 4],
    pub(crate) a: [R; 4],
    pub(crate) b: [R; 2],
    pub(crate) c: [R; 4],
}

/// What to do.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    I1 {
        f: I1,
        d: R,
        a: R,
    },
    I2 {
        f: I2,
        d: R,
        a: R,
        b: R,
    },
    I3 {
        f: I3,
        d: R,
        a: R,
        b: R,
        c: R,
    },
    Bfi {
        d: R,
        a: R,
        b: R,
        c: R,
        e: R,
    },
    /// 16 bits; operands are extended by `signed` first.
    H1 {
        f: I1,
        d: R,
        a: R,
    },
    H2 {
        f: I2,
        signed: bool,
        d: R,
        a: R,
        b: R,
    },
    L1 {
        f: I1,
        d: Slot,
        a: R,
    },
    L2 {
        f: I2,
        d: R,
        a: R,
        b: R,
    },
    LMad {
        d: R,
        a: R,
        b: R,
        c: R,
    },
    MulWide {
        signed: bool,
        d: R,
        a: R,
        b: R,
    },
    MulWide16 {
        signed: bool,
        d: R,
        a: R,
        b: R,
    },
    MadWide {
        signed: bool,
        d: R,
        a: R,
        b: R,
        c: R,
    },
    F1 {
        f: F1,
        m: Mods,
        d: R,
        a: R,
    },
    F2 {
        f: F2,
        m: Mods,
        d: R,
        a: R,
        b: R,
    },
    Fma {
        m: Mods,
        d: R,
        a: R,
        b: R,
        c: R,
    },
    D1 {
        f: F1,
        d: R,
        a: R,
    },
    D2 {
        f: F2,
        d: R,
        a: R,
        b: R,
    },
    DFma {
        d: R,
        a: R,
        b: R,
        c: R,
    },
    Selp {
        d: R,
        a: R,
        b: R,
        p: Guard,
    },
    SelpL {
        d: R,
        a: R,
        b: R,
        p: Guard,
    },
    Setp {
        ty: Ty,
        cmp: Cmp,
        ftz: bool,
        d: R,
        q: Option<R>,
        a: R,
        b: R,
        with: Option<(Logic, Guard)>,
    },
    PredLogic {
        f: Logic,
        d: R,
        a: Guard,
        b: Guard,
    },
    PredMov {
        d: R,
        a: Guard,
    },
    PredConst {
        d: R,
        value: bool,
    },
    Pack16 {
        d: R,
        lo: R,
        hi: R,
    },
    Unpack16 {
        lo: Slot,
        hi: Slot,
        a: R,
    },
    Pack32 {
        d: R,
        lo: R,
        hi: R,
    },
    Unpack32 {
        lo: Slot,
        hi: Slot,
        a: R,
    },
    Cvt {
        to: Ty,
        from: Ty,
        round: Round,
        m: Mods,
        d: Slot,
        a: Slot,
    },
    /// `cvt.rn.bf16x2.f32 d, hi, lo` and the same for f16.
    CvtPack {
        bf16: bool,
        relu: bool,
        d: R,
        hi: R,
        lo: R,
    },
    /// A generic address from one of a space, or back.
    Cvta {
        area: Area,
        to: bool,
        d: R,
        a: R,
    },
    /// `n` elements of `bytes` each.
    Ld {
        addr: Addr,
        bytes: u8,
        signed: bool,
        /// Volatile, relaxed or acquire: no race with another such access or an atomic.
        strong: bool,
        n: u8,
        d: [Slot; 4],
    },
    St {
        addr: Addr,
        bytes: u8,
        strong: bool,
        n: u8,
        s: [Slot; 4],
    },
    Atom {
        addr: Addr,
        f: AtomOp,
        wide: bool,
        d: Option<R>,
        b: R,
        c: R,
    },
    CpAsync {
        dst: Addr,
        src: Addr,
        bytes: u8,
        size: Option<R>,
        /// Lanes that take nothing from their source.
        ignore: Option<Guard>,
    },
    CpCommit,
    /// Waits until at most `n` groups are under way; `None` waits for everything.
    CpWait {
        n: Option<u32>,
    },
    LdMatrix {
        addr: Addr,
        n: u8,
        trans: bool,
        d: [R; 4],
    },
    Mma(Box<Mma>),
    Shfl {
        mode: ShflMode,
        d: R,
        p: Option<R>,
        a: R,
        b: R,
        c: R,
        mask: R,
    },
    Vote {
        mode: Vote,
        d: R,
        a: Guard,
        mask: R,
    },
    MatchAny {
        d: R,
        a: Slot,
        mask: R,
    },
    ActiveMask {
        d: R,
    },
    Redux {
        f: I2,
        d: R,
        a: R,
        mask: R,
    },
    Bar {
        kind: BarKind,
        id: R,
        count: Option<R>,
        aligned: bool,
    },
    BarWarp {
        mask: R,
    },
    /// Writes zero to `n` rows.
    Zero {
        d: [R; 4],
        n: u8,
    },
    /// Asks for the addresses of an access and moves nothing.
    Touch(Box<Op>),
    Fence,
    Bra {
        target: u32,
    },
    Exit,
    Trap,
    Nop,
}

impl Op {
    /// Whether what it leaves in global memory or in registers depends on the order of threads, even in a kernel
    /// without races: atomics whose old value is used, or that do not commute.
    pub(crate) fn depends_on_order(&self) -> bool {
        match self {
            Op::Atom { addr, f, d, .. } => {
                let commutes = !matches!(f, AtomOp::AddF32 | AtomOp::Exch | AtomOp::Cas);
                addr.area != Area::Shared && (d.is_some() || !commutes)
            }
            _ => false,
        }
    }

    /// Whether all threads of a warp must execute it together.
    pub(crate) fn warp_wide(&self) -> bool {
        matches!(
            self,
            Op::LdMatrix { .. }
                | Op::Mma(_)
                | Op::Shfl { .. }
                | Op::Vote { .. }
                | Op::MatchAny { .. }
                | Op::Redux { .. }
                | Op::Bar { .. }
                | Op::BarWarp { .. }
        )
    }
}
