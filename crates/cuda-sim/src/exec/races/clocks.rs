//! Vector clocks of the warps of a block.

/// Warps of a block, at most.
const WARPS: usize = 32;
/// Barriers of a block.
const BARRIERS: usize = 16;

/// How far each warp is, and what it knows of the others.
#[derive(Debug)]
pub(crate) struct Clocks {
    /// `known[w][r]`: what warp `r` did before this time is over for warp `w`. `known[w][w]` is the time of `w`.
    known: Vec<[u16; WARPS]>,
    /// What the warps that came to a barrier know; it is theirs who leave it.
    brought: [[u16; WARPS]; BARRIERS],
    /// For each warp the least that it knows of any.
    floor: Vec<u16>,
}

impl Clocks {
    pub(crate) fn new(warps: usize) -> Clocks {
        let mut clocks =
            Clocks { known: vec![[0; WARPS]; warps], brought: [[0; WARPS]; BARRIERS], floor: vec![0; warps] };
        clocks.start();
        clocks
    }

    /// Time starts at 1, so that no mark is 0.
    pub(crate) fn start(&mut self) {
        self.brought = [[0; WARPS]; BARRIERS];
        for (warp, known) in self.known.iter_mut().enumerate() {
            *known = [0; WARPS];
            known[warp] = 1;
        }
        self.floor.fill(0);
    }

    pub(crate) fn known(&self, warp: u32) -> &[u16; WARPS] {
        &self.known[warp as usize]
    }

    /// The least that a warp knows of any.
    pub(crate) fn floor(&self, warp: u32) -> u16 {
        self.floor[warp as usize]
    }

    /// What the lanes of `warp` did is over for its other lanes. A clock at its end stays there; see [`over`].
    pub(crate) fn tick(&mut self, warp: u32) {
        let time = &mut self.known[warp as usize][warp as usize];
        *time = time.saturating_add(1);
    }

    /// A warp comes to a barrier.
    pub(crate) fn arrive(&mut self, warp: u32, barrier: usize) {
        self.tick(warp);
        join(&mut self.brought[barrier], &self.known[warp as usize]);
    }

    /// A warp goes on behind a barrier that all have come to.
    pub(crate) fn leave(&mut self, warp: u32, barrier: usize) {
        join(&mut self.known[warp as usize], &self.brought[barrier]);
        let known = &self.known[warp as usize][..self.known.len()];
        self.floor[warp as usize] = known.iter().copied().min().unwrap_or(0);
    }

    /// All who waited have left.
    pub(crate) fn opened(&mut self, barrier: usize) {
        self.brought[barrier] = [0; WARPS];
    }
}

fn join(to: &mut [u16; WARPS], from: &[u16; WARPS]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from.max(*to));
}

/// Whether what was done at `time` is over for who knows the clock to have come to `known`. At the end of the clock
/// nothing is known any more, and nothing is reported.
pub(super) fn over(time: u16, known: u16) -> bool {
    time < known || time == u16::MAX
}
