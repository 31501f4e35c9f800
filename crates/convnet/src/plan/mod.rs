//! From a net to memory and an ordered list of operations.
//!
//! A [`Plan`] is plain data. Compiling a net gives every tensor a span of its own; `memory` then lets tensors that
//! are never alive together share memory.

mod backward;
mod build;
mod memory;
mod placement;
mod shape;

use std::fmt;

use crate::Error;
use crate::net::{Extent, Net};
pub use crate::ops::Planned;
use crate::ops::{Device, Region, Span};
use placement::Placement;

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forward, backward, update.
    Train,
    /// Forward only.
    Infer,
    /// As `Train`, but nothing is fused, no memory is shared and the input has a gradient: every tensor can be
    /// looked at after a step. Gradients of parameters lie at the parameters' places.
    Inspect,
}

/// A compiled net.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The most images of a step.
    pub images: usize,
    /// What it is for.
    pub mode: Mode,
    /// Devices that it is for. A list of operations is in an order in which one thread may give them to all devices.
    pub shards: usize,
    /// Weights and biases, in the order of the net.
    pub parameters: Vec<Parameter>,
    /// What each layer gives, per tower. Spans hold their contents after a step in [`Mode::Inspect`] only.
    pub tensors: Vec<Tensor>,
    /// The forward pass.
    pub forward: Vec<Planned>,
    /// The gradients.
    pub backward: Vec<Planned>,
    /// The update of every parameter whose gradient is written.
    pub update: Vec<Planned>,
    /// Each region of each shard.
    pub regions: Vec<Span>,
    /// The mean that [`crate::ops::Augment`] subtracts; on the other shards it is at the same place.
    pub mean: Span,
    /// The softmax's results, kept to the end of a step.
    pub results: Results,
}

/// What a layer gives in one tower.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// The layer, or `input`.
    pub layer: String,
    /// The tower.
    pub tower: usize,
    /// `[N, height, width, channels]`; of an input in blocks of pixels, those of blocks.
    pub extent: Extent,
    /// The value.
    pub value: Span,
    /// Its gradient, in training.
    pub gradient: Option<Span>,
}

/// Where the results of a step lie.
#[derive(Clone, Copy, Debug)]
pub struct Results {
    /// `[N, classes]`
    pub probabilities: Span,
    /// `[N]`
    pub losses: Span,
    /// `[N]`
    pub ranks: Span,
}

/// A weight or bias tensor.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// `conv3.tower0.weight1`: by which tower 0 of conv3 reads tower 1 of the layer before; `conv3.tower0.bias`.
    pub name: String,
    /// The layer.
    pub layer: String,
    /// Weights `[size, size, channels, filters]` or `[inputs, outputs]`, biases `[outputs]`.
    pub dims: Vec<usize>,
    /// Whether it is a bias.
    pub bias: bool,
    /// Standard deviation of the initial weights, or the initial bias.
    pub init: f64,
    /// Factor of the learning rate.
    pub rate: f64,
    /// The value; the velocity lies at the same place of its region.
    pub value: Span,
    /// The gradient; none where there is no training, and where [`crate::ops::FcWeightUpdate`] does not write it.
    pub gradient: Option<Span>,
}

impl Parameter {
    /// The velocity.
    pub fn velocity(&self) -> Span {
        Span { region: Region::Momenta, ..self.value }
    }
}

impl Plan {
    /// Compiles `net` for steps of up to `images` images on one device.
    pub fn compile(net: &Net, images: usize, mode: Mode) -> Plan {
        Plan::build(net, Placement::whole(net), images, mode, None)
    }

    /// Compiles `net` for several devices, each with as many of its towers.
    ///
    /// # Errors
    /// [`Error::Placement`] when the towers cannot be shared out evenly.
    pub fn compile_for(net: &Net, shards: usize, images: usize, mode: Mode) -> Result<Plan, Error> {
        Ok(Plan::build(net, Placement::new(net, shards)?, images, mode, None))
    }

    /// Compiles `net` for a device: for as many as stand behind it, with the input in the form that it prefers, and fused
    /// as it can; but for [`Mode::Inspect`], which keeps the input as pixels and every tensor.
    ///
    /// # Errors
    /// As [`Plan::compile_for`].
    pub fn compile_on(net: &Net, device: &dyn Device, images: usize, mode: Mode) -> Result<Plan, Error> {
        let placement = Placement::new(net, device.shards())?;
        Ok(Plan::build(net, placement, images, mode, Some(device)))
    }

    fn build(net: &Net, placement: Placement, images: usize, mode: Mode, device: Option<&dyn Device>) -> Plan {
        let mut plan = build::plan(net, placement, images, mode, device);
        if mode != Mode::Inspect {
            memory::share(&mut plan);
        }
        plan
    }

    /// All operations in order.
    pub fn operations(&self) -> impl Iterator<Item = &Planned> {
        self.forward.iter().chain(&self.backward).chain(&self.update)
    }

    /// The tensor that `layer` gives in `tower`.
    pub fn tensor(&self, layer: &str, tower: usize) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.layer == layer && tensor.tower == tower)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, list) in [("forward", &self.forward), ("backward", &self.backward), ("update", &self.update)] {
            if list.is_empty() {
                continue;
            }
            writeln!(f, "{title}")?;
            for Planned { layer, op, .. } in list {
                write!(f, "  {layer:<12} {:<20}", op.name())?;
                for (access, span) in op.operands() {
                    write!(f, " {}{span}", if access == crate::ops::Access::Read { "" } else { ">" })?;
                }
                writeln!(f)?;
            }
        }
        writeln!(f, "memory")?;
        for span in &self.regions {
            let shard = if self.shards > 1 { format!("{}:", span.shard) } else { String::new() };
            writeln!(f, "  {:<12} {:>9.1} MB", format!("{shard}{:?}", span.region), span.len as f64 * 4e-6)?;
        }
        Ok(())
    }
}
