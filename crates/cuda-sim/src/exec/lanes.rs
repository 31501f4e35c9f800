//! Rows of 32 lanes and the loops over them that the compiler vectorises.

/// One 32-bit register of a warp.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Row(pub(crate) [u32; 32]);

/// One 64-bit register of a warp.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Row64(pub(crate) [u64; 32]);

/// The registers of a warp.
#[derive(Debug, Default)]
pub(crate) struct Regs {
    pub(crate) w32: Vec<Row>,
    pub(crate) w64: Vec<Row64>,
    pub(crate) preds: Vec<u32>,
}

impl Regs {
    #[inline(always)]
    pub(crate) fn get(&self, row: u16) -> &[u32; 32] {
        &self.w32[usize::from(row)].0
    }

    #[inline(always)]
    pub(crate) fn get64(&self, row: u16) -> &[u64; 32] {
        &self.w64[usize::from(row)].0
    }

    /// Writes the lanes of `mask`.
    #[inline(always)]
    pub(crate) fn put(&mut self, row: u16, value: &[u32; 32], mask: u32) {
        let d = &mut self.w32[usize::from(row)].0;
        if mask == !0 {
            *d = *value;
        } else {
            for lane in 0..32 {
                let m = (mask >> lane & 1).wrapping_neg();
                d[lane] = value[lane] & m | d[lane] & !m;
            }
        }
    }

    #[inline(always)]
    pub(crate) fn put64(&mut self, row: u16, value: &[u64; 32], mask: u32) {
        let d = &mut self.w64[usize::from(row)].0;
        if mask == !0 {
            *d = *value;
        } else {
            for lane in 0..32 {
                let m = u64::from(mask >> lane & 1).wrapping_neg();
                d[lane] = value[lane] & m | d[lane] & !m;
            }
        }
    }

    #[inline(always)]
    pub(crate) fn put_pred(&mut self, pred: u16, value: u32, mask: u32) {
        let d = &mut self.preds[usize::from(pred)];
        *d = *d & !mask | value & mask;
    }

    #[inline(always)]
    pub(crate) fn guard(&self, guard: crate::ptx::Guard) -> u32 {
        self.preds[usize::from(guard.pred)] ^ u32::from(guard.negated).wrapping_neg()
    }

    #[inline(always)]
    pub(crate) fn map1(&mut self, d: u16, a: u16, mask: u32, f: impl Fn(u32) -> u32) {
        let a = self.get(a);
        let mut v = [0; 32];
        for lane in 0..32 {
            v[lane] = f(a[lane]);
        }
        self.put(d, &v, mask);
    }

    #[inline(always)]
    pub(crate) fn map2(&mut self, d: u16, a: u16, b: u16, mask: u32, f: impl Fn(u32, u32) -> u32) {
        let (a, b) = (self.get(a), self.get(b));
        let mut v = [0; 32];
        for lane in 0..32 {
            v[lane] = f(a[lane], b[lane]);
        }
        self.put(d, &v, mask);
    }

    #[inline(always)]
    pub(crate) fn map3(&mut self, d: u16, s: [u16; 3], mask: u32, f: impl Fn(u32, u32, u32) -> u32) {
        let (a, b, c) = (self.get(s[0]), self.get(s[1]), self.get(s[2]));
        let mut v = [0; 32];
        for lane in 0..32 {
            v[lane] = f(a[lane], b[lane], c[lane]);
        }
        self.put(d, &v, mask);
    }

    #[inline(always)]
    pub(crate) fn wide1(&mut self, d: u16, a: u16, mask: u32, f: impl Fn(u64) -> u64) {
        let a = self.get64(a);
        let mut v = [0; 32];
        for lane in 0..32 {
            v[lane] = f(a[lane]);
        }
        self.put64(d, &v, mask);
    }

    #[inline(always)]
    pub(crate) fn wide2(&mut self, d: u16, a: u16, b: u16, mask: u32, f: impl Fn(u64, u64) -> u64) {
        let (a, b) = (self.get64(a), self.get64(b));
        let mut v = [0; 32];
        for lane in 0..32 {
            v[lane] = f(a[lane], b[lane]);
        }
        self.put64(d, &v, mask);
    }
}

/// A bit per lane for which `f` holds.
#[inline(always)]
pub(crate) fn ballot(f: impl Fn(usize) -> bool) -> u32 {
    let mut bits = [0u32; 32];
    for (lane, bit) in bits.iter_mut().enumerate() {
        *bit = u32::from(f(lane)) << lane;
    }
    bits.iter().fold(0, |all, bit| all | bit)
}
