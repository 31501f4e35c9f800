//! Where the parameters of a layer's towers lie in one tensor over all towers.

use convnet::net::{Kind, Net};

/// The layout of a layer with weights: channels before pixels, outputs before channels.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Groups of a convolution: outputs of a group read inputs of the same group only.
    pub(crate) groups: usize,
    /// The towers that each tower reads, own first.
    pub(crate) sources: Vec<Vec<usize>>,
    /// Outputs of a tower.
    pub(crate) outputs: usize,
    /// Side of a filter, of a convolution.
    size: Option<usize>,
    /// Channels of a tower that is read, and pixels of a filter or a map.
    channels: usize,
    pixels: usize,
    /// Inputs of an output.
    row: usize,
}

impl Layout {
    /// That of the `index`-th layer, which has weights.
    pub(crate) fn of(net: &Net, index: usize) -> Layout {
        let (layer, input, output) = (&net.layers[index], net.input_of(index), net.layers[index].output);
        let size = if let Kind::Conv { size, .. } = layer.kind { Some(size) } else { None };
        let sources: Vec<Vec<usize>> = (0..output.towers).map(|tower| net.sources_of(index, tower)).collect();
        let own = input.towers == output.towers && sources.iter().enumerate().all(|(tower, reads)| *reads == [tower]);
        // Only convolutions have groups; elsewhere towers that are not read have zeros.
        let groups = if own && size.is_some() { output.towers } else { 1 };
        let (pixels, channels) = (size.map_or(input.height * input.width, |size| size * size), input.channels);
        let row = input.towers / groups * channels * pixels;
        Layout { groups, sources, outputs: output.channels, size, channels, pixels, row }
    }

    /// Extents of the weights: `[outputs, inputs / groups, size, size]` or `[outputs, inputs]`.
    pub(crate) fn dims(&self) -> Vec<usize> {
        match self.size {
            Some(size) => vec![self.all_outputs(), self.row / self.pixels, size, size],
            None => vec![self.all_outputs(), self.row],
        }
    }

    /// Outputs of all towers.
    pub(crate) fn all_outputs(&self) -> usize {
        self.sources.len() * self.outputs
    }

    /// For each weight by which `tower` reads `source`, in our order, its place in the tensor.
    pub(crate) fn places(&self, tower: usize, source: usize) -> impl Iterator<Item = usize> {
        let Layout { outputs, channels, pixels, row, .. } = *self;
        let first = tower * outputs * row + if self.groups > 1 { 0 } else { source * channels * pixels };
        // Ours are [pixel, channel, output], theirs [output, channel, pixel].
        let of = move |pixel| {
            (0..channels).flat_map(move |channel| (0..outputs).map(move |unit| unit * row + channel * pixels + pixel))
        };
        (0..pixels).flat_map(of).map(move |place| first + place)
    }
}
