//! Cards as rows of data.

/// What a card has. Rates are peaks at `clock`, per SM where a field's name does not say otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Card {
    /// As people call it.
    pub name: &'static str,
    /// Multiprocessors.
    pub sms: u32,
    /// Cycles a second of the SMs, in Hz.
    pub clock: f64,
    /// Bytes a second of the card's memory.
    pub dram_bandwidth: f64,
    /// Bytes of the second-level cache.
    pub l2_bytes: u64,
    /// Bytes a second that the second-level cache gives all SMs together.
    pub l2_bandwidth: f64,
    /// Bytes a cycle of shared memory.
    pub shared_bandwidth: u32,
    /// Warps that issue an instruction in a cycle.
    pub schedulers: u32,
    /// Lanes of f32 arithmetic a cycle.
    pub fma_lanes: u32,
    /// Multiply-adds a cycle of `mma.sync` with bf16 inputs and f32 sums.
    pub tensor_multiply_adds: f64,
    /// Seconds that a kernel takes before and after its work: starting, filling and draining the SMs.
    pub launch_cost: f64,
    /// Bytes a second between the card and the host, each way.
    pub host_bandwidth: f64,
    /// Bytes a second between two cards, each way.
    pub peer_bandwidth: f64,
    /// Registers of 32 bits.
    pub registers: u32,
    /// Bytes of shared memory for all blocks together.
    pub shared_bytes: u32,
    /// Resident threads.
    pub threads: u32,
    /// Resident blocks.
    pub blocks: u32,
}

/// The cards that times are predicted for.
pub const CARDS: [Card; 3] = [A100, H100, RTX_4090];

/// Not published. What a kernel of one block takes that does next to nothing, on an H100 (docs/predicted.md).
const LAUNCH_COST: f64 = 3e-6;

// Registers, shared memory, threads and blocks of an SM: CUDA C++ Programming Guide, "Compute Capabilities", table
// "Technical Specifications per Compute Capability", 8.0, 9.0 and 8.9. Schedulers: four in each, and lanes of f32
// arithmetic: the same guide, "Arithmetic Instructions". Shared memory: 32 banks of 4 bytes. The host: PCI Express with 16
// lanes, generation 4 or, for the H100, 5. Cards among each other: NVLink, half of what the data sheet sums up over both
// ways; an RTX 4090 has none and goes by the host.

/// A100, SXM, 40 GB.
///
/// "NVIDIA A100 Tensor Core GPU Architecture" (2020), tables 4 and 5 and page 35: 108 SMs, 1410 MHz boost, 1555 GB/s,
/// 40 MB of L2 that is read at 5120 bytes a cycle, 312 TFLOP/s dense of bf16: 1024 multiply-adds a cycle and SM.
pub const A100: Card = Card {
    name: "A100",
    sms: 108,
    clock: 1.41e9,
    dram_bandwidth: 1.555e12,
    l2_bytes: 40 << 20,
    l2_bandwidth: 5120.0 * 1.41e9,
    shared_bandwidth: 128,
    schedulers: 4,
    fma_lanes: 64,
    tensor_multiply_adds: 1024.0,
    launch_cost: LAUNCH_COST,
    host_bandwidth: 31.5e9,
    peer_bandwidth: 300.0e9,
    registers: 65536,
    shared_bytes: 164 << 10,
    threads: 2048,
    blocks: 32,
};

/// H100, SXM.
///
/// "NVIDIA H100 Tensor Core GPU Architecture" (2022), tables 3 and 4, and the product's page: 132 SMs, 3.35 TB/s, 50 MB of
/// L2, 67 TFLOP/s of f32 at 1980 MHz, the clock that it held in the measurements of docs/predicted.md, 989 TFLOP/s dense of
/// 16-bit floats at 1830 MHz: 2048 multiply-adds a cycle and SM. `mma.sync`, which these kernels use, reaches 62.9 % of it on average, and the L2 of the H800, a card with the same chip, gave 4472 bytes a
/// cycle (Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture", arXiv 2402.13499); NVIDIA
/// publishes neither.
pub const H100: Card = Card {
    name: "H100",
    sms: 132,
    clock: 1.98e9,
    dram_bandwidth: 3.35e12,
    l2_bytes: 50 << 20,
    l2_bandwidth: 4472.0 * 1.98e9,
    shared_bandwidth: 128,
    schedulers: 4,
    fma_lanes: 128,
    tensor_multiply_adds: 2048.0 * 0.629,
    launch_cost: LAUNCH_COST,
    host_bandwidth: 63.0e9,
    peer_bandwidth: 450.0e9,
    registers: 65536,
    shared_bytes: 228 << 10,
    threads: 2048,
    blocks: 32,
};

/// GeForce RTX 4090.
///
/// "NVIDIA Ada GPU Architecture" (2022): 128 SMs, 2520 MHz boost, 1008 GB/s, 72 MB of L2, 165.2 TFLOP/s dense of bf16
/// with f32 sums: 256 multiply-adds a cycle and SM. The L2's rate is not published; about 5 TB/s are assumed, as for
/// a cache that gives each SM 16 bytes a cycle.
pub const RTX_4090: Card = Card {
    name: "RTX 4090",
    sms: 128,
    clock: 2.52e9,
    dram_bandwidth: 1.008e12,
    l2_bytes: 72 << 20,
    l2_bandwidth: 5.0e12,
    shared_bandwidth: 128,
    schedulers: 4,
    fma_lanes: 128,
    tensor_multiply_adds: 256.0,
    launch_cost: LAUNCH_COST,
    host_bandwidth: 31.5e9,
    peer_bandwidth: 31.5e9,
    registers: 65536,
    shared_bytes: 100 << 10,
    threads: 1536,
    blocks: 24,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_data_sheets() {
        let tera = |card: &Card, rate: f64| f64::from(card.sms) * rate * 2.0 * card.clock / 1e12;
        let fma = |card: &Card| tera(card, f64::from(card.fma_lanes));
        let tensor = |card: &Card| tera(card, card.tensor_multiply_adds);
        let near = |got: f64, expected: f64| assert!((got / expected - 1.0).abs() < 5e-3, "{got} for {expected}");
        near(fma(&A100), 19.5);
        near(tensor(&A100), 312.0);
        near(fma(&H100), 66.9);
        // The data sheet's 989.4 is at 1830 MHz.
        near(tensor(&H100), 989.4 * 0.629 * 1.98 / 1.83);
        near(fma(&RTX_4090), 82.6);
        near(tensor(&RTX_4090), 165.2);
    }
}
