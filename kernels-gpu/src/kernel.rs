//! What a kernel's declaration says to both sides.

use crate::precision::Precision;

/// A kernel as its launcher sees it. Blocks are one-dimensional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The name of the entry in the PTX.
    pub name: &'static str,
    /// In order.
    pub parameters: &'static [Parameter],
    /// Threads of a block; the PTX requires exactly so many (`.reqntid`).
    pub threads: u32,
    /// Blocks that must fit on a multiprocessor together: this limits registers (`.minnctapersm`).
    pub min_blocks: u32,
    /// Dynamic shared memory of a block. Over 48 KiB the launcher has to ask for it.
    pub shared_bytes: u32,
}

/// A parameter of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As in the source.
    pub name: &'static str,
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
    /// A `repr(C)` struct, passed by value.
    Struct,
}

/// A type that may be a kernel's parameter.
pub trait Argument: Copy {
    /// What it is to the driver.
    const KIND: Kind;
}

impl<T> Argument for *const T {
    const KIND: Kind = Kind::Pointer;
}

impl<T> Argument for *mut T {
    const KIND: Kind = Kind::Pointer;
}

impl Argument for f32 {
    const KIND: Kind = Kind::Scalar;
}

impl Argument for u32 {
    const KIND: Kind = Kind::Scalar;
}

impl Parameter {
    pub(crate) const fn of<T: Argument>(name: &'static str) -> Parameter {
        Parameter { name, kind: T::KIND, bytes: size_of::<T>(), align: align_of::<T>() }
    }
}

/// A kernel over tensors of activations, with an entry for each type that their elements may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    /// The entry for f32.
    pub f32: Kernel,
    /// The entry for bf16: its name ends with `_bf16`.
    pub bf16: Kernel,
}

impl Kernels {
    /// The entry for elements of a precision.
    pub const fn of(&self, precision: Precision) -> &Kernel {
        match precision {
            Precision::F32 => &self.f32,
            Precision::Bf16 => &self.bf16,
        }
    }
}

/// Declares a kernel once: `[limits] CONST: fn entry(parameters) { body }`.
///
/// Both sides get the constant, a [`Kernel`]; the GPU also gets the entry. The body is in an `unsafe` block whose
/// reason is the `# Safety` section above the declaration.
///
/// `fn entry<E>(parameters) { body }` declares [`Kernels`]: one entry in which `E` is f32, and `entry_bf16`.
macro_rules! kernel {
    (
        $(#[$doc:meta])*
        [$($limit:ident = $value:expr),* $(,)?]
        $declaration:ident: fn $entry:ident<$element:ident>($($parameter:ident: $type:ty),* $(,)?) $body:block
    ) => {
        $(#[$doc])*
        pub const $declaration: $crate::Kernels = $crate::Kernels {
            f32: kernel! {
                @entry stringify!($entry), $element = f32,
                [$($limit = $value),*] ($($parameter: $type),*) $body
            },
            bf16: kernel! {
                @entry concat!(stringify!($entry), "_bf16"), $element = $crate::precision::Bf16,
                [$($limit = $value),*] ($($parameter: $type),*) $body
            },
        };
    };
    (
        @entry $name:expr, $element:ident = $of:ty,
        [$($limit:ident = $value:expr),*] ($($parameter:ident: $type:ty),*) $body:block
    ) => {{
        type $element = $of;

        #[cfg(target_arch = "nvptx64")]
        #[unsafe(export_name = $name)]
        unsafe extern "ptx-kernel" fn entry($($parameter: $type),*) {
            // SAFETY: the kernel's own contract, which its launcher keeps.
            unsafe { $body }
        }

        $crate::Kernel {
            name: $name,
            parameters: &[$($crate::Parameter::of::<$type>(stringify!($parameter))),*],
            $($limit: $value,)*
        }
    }};
    (
        $(#[$doc:meta])*
        [$($limit:ident = $value:expr),* $(,)?]
        $declaration:ident: fn $entry:ident($($parameter:ident: $type:ty),* $(,)?) $body:block
    ) => {
        $(#[$doc])*
        pub const $declaration: $crate::Kernel = $crate::Kernel {
            name: stringify!($entry),
            parameters: &[$($crate::Parameter::of::<$type>(stringify!($parameter))),*],
            $($limit: $value,)*
        };

        $(#[$doc])*
        #[cfg(target_arch = "nvptx64")]
        #[unsafe(no_mangle)]
        pub unsafe extern "ptx-kernel" fn $entry($($parameter: $type),*) {
            // SAFETY: the kernel's own contract, which its launcher keeps.
            unsafe { $body }
        }
    };
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::HashSet;

    use super::Kind;
    use crate::KERNELS;

    #[test]
    fn names_are_unique_and_plain() {
        let names: HashSet<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
        assert_eq!(names.len(), KERNELS.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')));
    }

    #[test]
    fn limits_are_those_of_a_card() {
        for kernel in KERNELS {
            assert!(kernel.threads.is_multiple_of(32) && (32..=1024).contains(&kernel.threads), "{kernel:?}");
            assert!(kernel.min_blocks >= 1 && kernel.min_blocks * kernel.threads <= 1536, "{kernel:?}");
            assert!(kernel.shared_bytes <= 99 * 1024, "{kernel:?}");
        }
    }

    #[test]
    fn parameters_have_sizes_that_both_sides_share() {
        for parameter in KERNELS.iter().flat_map(|kernel| kernel.parameters) {
            match parameter.kind {
                Kind::Pointer => assert_eq!((parameter.bytes, parameter.align), (8, 8), "{parameter:?}"),
                Kind::Scalar => assert_eq!(parameter.bytes, parameter.align, "{parameter:?}"),
                Kind::Struct => assert!(parameter.align <= 16, "{parameter:?}"),
            }
        }
    }
}
