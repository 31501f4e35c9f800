//! What the tests share: buffers in and out, parameters by value.

use cuda_sim::{Config, LaunchError, Memory, Problem, Program, Stats, launch};

/// A program and the memory it works on.
pub(crate) struct Gpu {
    pub(crate) memory: Memory,
    pub(crate) program: Program,
}

/// A kernel's parameters, in order; each is aligned to its size.
#[derive(Default)]
pub(crate) struct Params(pub(crate) Vec<u8>);

#[allow(dead_code, reason = "each test file uses a part")]
impl Params {
    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        self.0.extend(value.to_le_bytes());
        self
    }
}

#[allow(dead_code, reason = "each test file uses a part")]
impl Gpu {
    pub(crate) fn new(source: &str) -> Gpu {
        let memory = Memory::new();
        let program = Program::load(source, &memory, 0).unwrap_or_else(|error| panic!("{error}"));
        Gpu { memory, program }
    }

    /// A module with one kernel `k` of the given parameters and body; registers %p, %h, %r, %f, %rd, %fd are declared.
    pub(crate) fn kernel(params: &str, body: &str) -> Gpu {
        Gpu::new(&format!(
            ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k({params})\n{{\n\
             .reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<40>; .reg .f32 %f<20>; .reg .b64 %rd<20>; .reg .f64 %fd<9>;\n\
             {body}\n}}\n"
        ))
    }

    pub(crate) fn upload<T: Copy, const N: usize>(&self, values: &[T], bytes: impl Fn(T) -> [u8; N]) -> u64 {
        let all: Vec<u8> = values.iter().flat_map(|&value| bytes(value)).collect();
        let address = self.memory.alloc(0, all.len());
        self.memory.write(address, &all).expect("a fresh allocation");
        address
    }

    pub(crate) fn floats(&self, values: &[f32]) -> u64 {
        self.upload(values, f32::to_le_bytes)
    }

    pub(crate) fn words(&self, values: &[u32]) -> u64 {
        self.upload(values, u32::to_le_bytes)
    }

    pub(crate) fn read(&self, address: u64, n: usize) -> Vec<u32> {
        let mut bytes = vec![0; n * 4];
        self.memory.read(address, &mut bytes).expect("inside an allocation");
        bytes.chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    pub(crate) fn read_floats(&self, address: u64, n: usize) -> Vec<f32> {
        self.read(address, n).into_iter().map(f32::from_bits).collect()
    }

    pub(crate) fn launch(&self, kernel: &str, config: &Config, params: Params) -> Result<Stats, LaunchError> {
        launch(&self.program, kernel, config, &params.0, &self.memory)
    }

    pub(crate) fn run(&self, kernel: &str, grid: [u32; 3], block: [u32; 3], params: Params) -> Stats {
        self.launch(kernel, &Config::new(grid, block), params).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The problem that a launch of `k` must end with, and its line in the body (from 1).
    pub(crate) fn problem(&self, config: &Config, params: Params) -> (Problem, u32) {
        match self.launch("k", config, params) {
            Err(LaunchError::Finding(finding)) => (finding.problem, finding.line.saturating_sub(6)),
            other => panic!("a finding was expected, not {other:?}"),
        }
    }
}
