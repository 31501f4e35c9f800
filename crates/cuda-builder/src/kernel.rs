//! What the declarations of kernels say.

/// A kernel's declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The name of its entry.
    pub name: String,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// Threads of a block, which is one-dimensional.
    pub threads: u32,
    /// Blocks that must fit on a multiprocessor together.
    pub min_blocks: u32,
    /// Dynamic shared memory of a block.
    pub shared_bytes: u32,
}

/// A parameter of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As in the source.
    pub name: String,
    /// What it is to the driver.
    pub kind: Kind,
    /// Its size.
    pub bytes: usize,
    /// Its alignment.
    pub align: usize,
}

/// Kinds of parameters, as PTX tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An address of device memory.
    Pointer,
    /// A number.
    Scalar,
    /// A struct, passed by value.
    Struct,
}

/// The launch bounds as LLVM's `-forceattrs-csv-path` reads them; rustc has no attribute for them.
pub(crate) fn attributes(kernels: &[Kernel]) -> String {
    let mut lines = String::new();
    for Kernel { name, threads, min_blocks, .. } in kernels {
        lines += &format!("{name},nvvm.reqntid={threads},1,1\n");
        if *min_blocks > 1 {
            lines += &format!("{name},nvvm.minctasm={min_blocks}\n");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launch_bounds_are_lines() {
        let kernel = |name: &str, min_blocks| Kernel {
            name: name.to_string(),
            parameters: Vec::new(),
            threads: 128,
            min_blocks,
            shared_bytes: 0,
        };
        let lines = attributes(&[kernel("one", 1), kernel("two", 2)]);
        assert_eq!(lines, "one,nvvm.reqntid=128,1,1\ntwo,nvvm.reqntid=128,1,1\ntwo,nvvm.minctasm=2\n");
    }
}
