//! The types that elements of activations may have.

use core::fmt;
use core::str::FromStr;

/// The type of activations and their gradients in memory. Sums are f32 in either; so are weights, their gradients and
/// their update, of which products read a copy in this type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// The upper 16 bits of an f32, rounded to nearest, for tensor cores.
    Bf16,
}

impl Precision {
    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            Precision::F32 => size_of::<f32>(),
            Precision::Bf16 => size_of::<Bf16>(),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Precision, &'static str> {
        match text {
            "f32" => Ok(Precision::F32),
            "bf16" => Ok(Precision::Bf16),
            _ => Err("expected f32 or bf16"),
        }
    }
}

/// An element of [`Precision::Bf16`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);
