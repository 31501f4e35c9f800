//! The described network on a device, with its tensors in PyTorch's layouts.

use convnet::Error;
use convnet::cpu::Cpu;
use convnet::cuda::Cuda;
use convnet::naive::Naive;
use convnet::net::Net;
use convnet::ops::{Device, DropoutShape, Op, Region, Span, Step};
use convnet::plan::{Mode, Parameter, Plan, Planned};

use crate::reference::{Dropout, Reference};

/// A device whose numbers can be read and written without loss.
pub(crate) trait Wide {
    fn device(&mut self) -> &mut dyn Device;
    fn plan(&mut self, net: &Net, images: usize, mode: Mode) -> Plan {
        Plan::compile_on(net, self.device(), images, mode).expect("the device has all towers")
    }
    fn run(&mut self, op: &Op) -> Result<(), Error> {
        self.device().run(op)
    }
    fn read_wide(&self, span: Span) -> Vec<f64>;
    fn write_wide(&mut self, span: Span, values: &[f64]);
}

impl Wide for Naive {
    fn device(&mut self) -> &mut dyn Device {
        self
    }

    fn read_wide(&self, span: Span) -> Vec<f64> {
        let mut values = vec![0.0; span.len];
        self.read_f64(span, &mut values).expect("a span of the plan is in memory");
        values
    }

    fn write_wide(&mut self, span: Span, values: &[f64]) {
        self.write_f64(span, values).expect("a span of the plan is in memory");
    }
}

/// Devices of f32 and less: what comes from them goes back without loss.
macro_rules! narrow {
    ($($device:ty),*) => {
        $(impl Wide for $device {
            fn device(&mut self) -> &mut dyn Device {
                self
            }

            fn read_wide(&self, span: Span) -> Vec<f64> {
                let mut values = vec![0.0; span.len];
                self.read(span, &mut values).expect("a span of the plan is in memory");
                values.into_iter().map(f64::from).collect()
            }

            fn write_wide(&mut self, span: Span, values: &[f64]) {
                let narrow: Vec<f32> = values.iter().map(|&value| value as f32).collect();
                self.write(span, &narrow).expect("a span of the plan is in memory");
            }
        })*
    };
}

narrow!(Cpu, Cuda);

pub(crate) struct Model<'a, D> {
    reference: &'a Reference,
    net: Net,
    plan: Plan,
    device: D,
    input: Vec<f64>,
}

impl<'a, D: Wide> Model<'a, D> {
    /// The network with its parameters at the start and the batch on the device.
    pub(crate) fn new(reference: &'a Reference, dropout: Dropout, decay: f64, mode: Mode, mut device: D) -> Self {
        let net = reference.net(dropout, decay);
        let batch = reference.meta.batch;
        let plan = device.plan(&net, batch, mode);
        for &region in &plan.regions {
            device.device().reserve(region).expect("there is memory");
        }
        let labels = reference.labels();
        let rates = vec![reference.meta.lr as f32; plan.parameters.len()];
        let ids = (0..batch as u32).collect();
        let mut step = Step { labels, ids, rates, ..Step::default() };
        device.device().begin(&mut step).expect("the step is complete");

        let extent = net.input_of(0);
        let image = reference.input();
        let mut input = vec![0.0; image.len()];
        let positions = act_positions([batch, extent.height, extent.width, extent.channels], 0, 1);
        input.iter_mut().zip(positions).for_each(|(value, position)| *value = f64::from(image[position]));
        let augment = plan.forward.iter().find_map(|planned| match &planned.op {
            Op::Augment(augment) => Some(augment),
            _ => None,
        });
        if let Some(blocks) = augment.expect("a plan begins with its input").blocks {
            input = blocks.of_pixels(&input, [extent.height, extent.width, extent.channels]);
        }
        let mut model = Model { reference, net, plan, device, input };
        for parameter in &reference.meta.params {
            model.write_parameter(&parameter.name, &reference.parameter(parameter));
        }
        model
    }

    pub(crate) fn forward(&mut self, step: usize) {
        run(&mut self.device, &self.plan.forward, &self.input, &self.reference.masks(step));
    }

    pub(crate) fn backward(&mut self, step: usize) {
        run(&mut self.device, &self.plan.backward, &self.input, &self.reference.masks(step));
    }

    pub(crate) fn update(&mut self) {
        run(&mut self.device, &self.plan.update, &[], &[vec![], vec![]]);
    }

    /// Mean cross-entropy.
    pub(crate) fn loss(&self) -> f64 {
        let losses = self.device.read_wide(self.plan.results.losses);
        losses.iter().sum::<f64>() / losses.len() as f64
    }

    pub(crate) fn log_probabilities(&self) -> Vec<f64> {
        self.device.read_wide(self.plan.results.probabilities).into_iter().map(f64::ln).collect()
    }

    /// What a layer gave, NCHW.
    pub(crate) fn activation(&self, layer: &str) -> Option<Vec<f64>> {
        self.tensor(layer, false)
    }

    /// The gradient of what a layer gave, NCHW.
    pub(crate) fn gradient(&self, layer: &str) -> Option<Vec<f64>> {
        self.tensor(layer, true)
    }

    /// Which units each ReLU lets through, and to which inputs each pooling sent a gradient.
    pub(crate) fn switches(&self) -> Vec<bool> {
        let pooled = ["lrn1", "lrn2", "relu5"].iter().filter_map(|layer| self.gradient(layer));
        let rectified = (1..=7).filter_map(|n| self.activation(&format!("relu{n}")));
        let pooled = pooled.flatten().map(|gradient| gradient != 0.0);
        pooled.chain(rectified.flatten().map(|value| value > 0.0)).collect()
    }

    fn tensor(&self, layer: &str, gradient: bool) -> Option<Vec<f64>> {
        let towers = || self.plan.tensors.iter().filter(|tensor| tensor.layer == layer);
        let mut joined = vec![0.0; towers().map(|tensor| tensor.value.len).sum()];
        for tensor in towers() {
            let span = if gradient { tensor.gradient? } else { tensor.value };
            let extent = tensor.extent;
            let dims = [self.plan.images, extent.height, extent.width, extent.channels];
            for (value, position) in
                self.device.read_wide(span).into_iter().zip(act_positions(dims, tensor.tower, extent.towers))
            {
                joined[position] = value;
            }
        }
        (!joined.is_empty()).then_some(joined)
    }

    /// A parameter (`conv1.w`), its velocity or its gradient, in PyTorch's layout.
    pub(crate) fn parameter(&self, name: &str, region: Region) -> Vec<f64> {
        let mut joined = vec![0.0; self.pieces(name).map(|piece| piece.value.len).sum()];
        for piece in self.pieces(name) {
            let values = self.device.read_wide(Span { region, ..piece.value });
            for (value, position) in values.into_iter().zip(self.positions(piece)) {
                joined[position] = value;
            }
        }
        joined
    }

    /// The names of the parts of parameters whose numbers in `region` differ from the other model's.
    pub(crate) fn differences(&self, other: &Self, region: Region) -> Vec<&str> {
        let parts = self.plan.parameters.iter().zip(&other.plan.parameters);
        let read = |device: &D, part: &Parameter| device.read_wide(Span { region, ..part.value });
        let differ = parts.filter(|(ours, theirs)| read(&self.device, ours) != read(&other.device, theirs));
        differ.map(|(part, _)| part.name.as_str()).collect()
    }

    fn write_parameter(&mut self, name: &str, joined: &[f32]) {
        let mut list = Vec::new();
        for piece in self.pieces(name) {
            let values: Vec<f64> = self.positions(piece).map(|position| f64::from(joined[position])).collect();
            list.push((piece.value, values));
        }
        let written: usize = list.iter().map(|(_, values)| values.len()).sum();
        assert_eq!(written, joined.len(), "numbers of {name}");
        for (span, values) in list {
            self.device.write_wide(span, &values);
        }
    }

    /// The spans that make up a parameter: per tower, and for weights per source.
    fn pieces(&self, name: &str) -> impl Iterator<Item = &Parameter> {
        let (layer, kind) = name.split_once('.').expect("a parameter is called layer.w or layer.b");
        let bias = kind == "b";
        self.plan.parameters.iter().filter(move |piece| piece.layer == layer && piece.bias == bias)
    }

    /// Where the numbers of a span stand in PyTorch's tensor: `[outputs, inputs, height, width]` or `[outputs]`.
    /// A fully connected layer is a convolution whose filters are as large as its input.
    fn positions(&self, piece: &Parameter) -> Box<dyn Iterator<Item = usize>> {
        // conv3.tower0.weight1
        let mut numbers = piece.name[piece.layer.len()..]
            .split('.')
            .filter_map(|part| part.trim_start_matches(char::is_alphabetic).parse().ok());
        let tower: usize = numbers.next().expect("the name of a parameter has its tower");
        if piece.bias {
            let outputs = piece.value.len;
            return Box::new(tower * outputs..(tower + 1) * outputs);
        }
        let source: usize = numbers.next().expect("the name of weights has their source");
        let index = self.net.layers.iter().position(|layer| layer.name == piece.layer).expect("the layer exists");
        let extent = self.net.input_of(index);
        let (height, width) = match piece.dims[..] {
            [height, width, _, _] => (height, width),
            _ => (extent.height, extent.width),
        };
        let (channels, filters) = (extent.channels, self.net.layers[index].output.channels);
        let sources = self.net.sources_of(index, tower).len();
        let first = if sources > 1 { source * channels } else { 0 };
        let place =
            move |y, x, c, f| (((tower * filters + f) * sources * channels + first + c) * height + y) * width + x;
        Box::new(four([height, width, channels, filters]).map(move |[y, x, c, f]| place(y, x, c, f)))
    }
}

/// Where the numbers of one tower's `[N, height, width, channels]` stand in `[N, towers * channels, height, width]`.
fn act_positions(dims: [usize; 4], tower: usize, towers: usize) -> impl Iterator<Item = usize> {
    let [_, height, width, channels] = dims;
    four(dims).map(move |[n, y, x, c]| (((n * towers + tower) * channels + c) * height + y) * width + x)
}

/// Four nested loops, the last innermost.
fn four([a, b, c, d]: [usize; 4]) -> impl Iterator<Item = [usize; 4]> {
    (0..a * b * c).flat_map(move |outer| {
        let (i, j, k) = (outer / (b * c), outer / c % b, outer % c);
        (0..d).map(move |l| [i, j, k, l])
    })
}

/// Runs operations; the input and the masks are the reference's in place of the device's own.
fn run<D: Wide>(device: &mut D, list: &[Planned], input: &[f64], masks: &[Vec<bool>; 2]) {
    for Planned { layer, op, .. } in list {
        match op {
            Op::Augment(op) => device.write_wide(op.output, input),
            Op::DropoutForward(op) if op.shape.training => {
                let spans = op.towers.iter().map(|tower| (tower.input, tower.output));
                mask(device, &op.shape, spans, masks);
            }
            Op::DropoutBackward(op) => {
                let spans = op.towers.iter().map(|tower| (tower.d_output, tower.d_input));
                mask(device, &op.shape, spans, masks);
            }
            op => device.run(op).unwrap_or_else(|error| panic!("{layer}: {error}")),
        }
    }
}

fn mask<D: Wide>(
    device: &mut D,
    shape: &DropoutShape,
    spans: impl ExactSizeIterator<Item = (Span, Span)>,
    masks: &[Vec<bool>; 2],
) {
    let (units, towers) = (shape.units, spans.len());
    let keep = &masks[shape.layer as usize];
    let factor = f64::from(shape.factor());
    for (tower, (from, to)) in spans.enumerate() {
        let mut values = device.read_wide(from);
        for (image, row) in values.chunks_mut(units).enumerate() {
            let keep = &keep[(image * towers + tower) * units..][..units];
            row.iter_mut().zip(keep).for_each(|(value, &keep)| *value = if keep { *value * factor } else { 0.0 });
        }
        device.write_wide(to, &values);
    }
}
