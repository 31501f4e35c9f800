//! What can go wrong in this crate.

/// An error of a net, a plan or a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A net file is wrong: says where, what was found and what is allowed.
    #[error("{net}: {place}: {problem}")]
    Net {
        /// The file or the name of the built-in net.
        net: String,
        /// The layer and key, for example `layer "conv2", key "stride"`.
        place: String,
        /// The value that was found and what is allowed.
        problem: String,
    },
    /// An operation was given memory that does not fit its shape.
    #[error("{op}: {what} has {got} floats, expected {expected}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// Which operand.
        what: &'static str,
        /// Floats that the shape needs.
        expected: usize,
        /// Floats that were given.
        got: usize,
    },
    /// An operation lists its sources and what belongs to them in different numbers, or none.
    #[error("{op}: {got} operands for {expected} sources")]
    Sources {
        /// The operation.
        op: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// An operation has nothing to do: an extent of 0, or no towers.
    #[error("{op}: an extent is 0, or there are no towers")]
    Empty {
        /// The operation.
        op: &'static str,
    },
    /// An operation would write memory that it also reads or writes elsewhere.
    #[error("{op}: an output overlaps another operand: {first} and {second}")]
    Overlap {
        /// The operation.
        op: &'static str,
        /// One operand.
        first: String,
        /// The other.
        second: String,
    },
    /// An operation names memory that the device does not have.
    #[error("{op}: {span} lies outside the device's memory of {available} floats")]
    OutOfRange {
        /// The operation.
        op: &'static str,
        /// The operand.
        span: String,
        /// Floats in that region.
        available: usize,
    },
    /// An operation of one device has operands on several shards.
    #[error("{op}: {first} and {second} are on different shards")]
    Shards {
        /// The operation.
        op: &'static str,
        /// One operand.
        first: String,
        /// The other.
        second: String,
    },
    /// A plan for a device with [`crate::ops::Device::pools_normalised`] was given to another.
    #[error("{op}: this device normalises and pools apart; the plan was made for one that does both at once")]
    NotPooled {
        /// The operation.
        op: &'static str,
    },
    /// A plan for several shards was given to one device.
    #[error("exchange: one device has nobody to exchange with; the plan was made for several")]
    OneShard,
    /// An operation is for a device that is not there.
    #[error("an operation is for shard {shard}, there are {devices} devices; the plan was made for more")]
    NoShard {
        /// The shard.
        shard: usize,
        /// How many devices there are.
        devices: usize,
    },
    /// The towers of a net cannot be shared out to so many devices.
    #[error("net {net} has {towers}, which cannot be shared out evenly to {shards} devices; give it {possible}")]
    Placement {
        /// The net.
        net: String,
        /// `1 tower` or `4 towers`.
        towers: String,
        /// The devices that were asked for.
        shards: usize,
        /// The numbers of devices that can: `1, 2 or 4`.
        possible: String,
    },
    /// The inputs of a step do not fit the plan.
    #[error("step: {0}")]
    Step(String),
    /// Threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many were asked for; 0 is one per core.
        threads: usize,
        /// The system's reason.
        reason: String,
    },
    /// Bf16 was asked of a processor without instructions for it.
    #[error("this processor computes in f32 only: bf16 needs AVX512_BF16, which it does not have")]
    NoBf16,
    /// The device has not enough memory.
    #[error("out of memory: {bytes} bytes for {what}; use a smaller batch")]
    OutOfMemory {
        /// What it was for.
        what: &'static str,
        /// Bytes asked for.
        bytes: usize,
    },
    /// A driver call failed.
    #[error(transparent)]
    Driver(#[from] crate::device::DriverError),
    /// A card failed, or does not answer, while a network ran.
    #[error("device {device} at {layers}, or behind it: {error}")]
    Card {
        /// The number of the device.
        device: u32,
        /// The oldest operations that are not known to be done: `layers conv3 to pool5, forward`.
        layers: String,
        /// What the driver said.
        error: crate::device::DriverError,
    },
    /// What arrives at a card is not what was sent.
    #[error(
        "the link from device {from} to device {to} corrupts what it carries: {wrong} of {words} words arrived differently; try --no-peer, which goes through the host (on some machines the IOMMU has to be off), or one device"
    )]
    CorruptLink {
        /// The number of the device that sent.
        from: u32,
        /// The number of the device that received.
        to: u32,
        /// Words that arrived differently.
        wrong: usize,
        /// Words that were sent.
        words: usize,
    },
    /// There is no CUDA driver.
    #[error(transparent)]
    Backend(#[from] cuda_driver::BackendError),
    /// There is a driver, but no card.
    #[error("the CUDA driver finds no device")]
    NoDevice,
    /// There is no GPU code in this program.
    #[error("this program was built without GPU kernels; run `cargo xtask build-ptx` and build it again")]
    NoKernels,
    /// The kernels that the environment names cannot be read.
    #[error("ALEXNET_KERNELS={path}: {reason}")]
    Kernels {
        /// The file.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// The environment's deadline for GPUs is no number.
    #[error("ALEXNET_DEADLINE={value}: expected whole seconds that a device may take to answer, as in 60")]
    Deadline {
        /// What it is.
        value: String,
    },
    /// An operation has the input in blocks of pixels, which this device does not take.
    #[error("{op}: this device takes no input in blocks of pixels; compile the plan for it (Plan::compile_on)")]
    Blocks {
        /// The operation.
        op: &'static str,
    },
    /// The GPU device does not do this.
    #[error("{op} on a GPU: {problem}")]
    Unsupported {
        /// The operation.
        op: &'static str,
        /// What is not done.
        problem: String,
    },
}
