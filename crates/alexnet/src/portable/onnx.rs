//! ONNX: the network as a graph that onnxruntime and others run.
//!
//! Input `pixels` `[N, 3, crop, crop]`, red, green, blue from 0 to 255; output `probabilities` `[N, classes]`. The mean
//! is subtracted inside. Towers are groups of channels: a convolution that reads its own tower has `group` towers, a
//! normalisation that stops at a tower's border runs on each tower apart. Class names are in the metadata.

use convnet::net::{AlphaMode, Extent, Kind, Reads};
use convnet::ops::Activation;
use prost::Message;

use super::proto::{
    AttributeProto, Dimension, DimensionValue, FLOAT, GraphProto, INT64, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
};
use super::{Portable, PortableLayer, Tensor, overhang};

/// The version of the operators; 13 is the oldest in which `Split` takes its sizes as an input.
const OPSET: i64 = 13;
/// The version of the file format that came with it.
const IR_VERSION: i64 = 7;

/// The bytes of an ONNX file.
pub fn encode(model: &Portable) -> Vec<u8> {
    let crop = model.net.augment.crop;
    let mut graph = Graph::default();
    graph.tensor(&model.mean);
    let mut value = graph.node("Sub", "input", &["pixels", "mean"], Vec::new());
    for layer in &model.layers {
        value = graph.layer(layer, &value);
    }
    graph.node_into("Identity", "output", &[&value], "probabilities", Vec::new());
    let classes = model.classes.len();
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_string(), value };
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: "alexnet".to_string(),
        producer_version: env!("CARGO_PKG_VERSION").to_string(),
        graph: Some(GraphProto {
            node: graph.nodes,
            name: model.net.name.clone(),
            initializer: graph.tensors,
            input: vec![info("pixels", &[3, crop, crop])],
            output: vec![info("probabilities", &[classes])],
        }),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: vec![
            entry("classes", serde_json::json!(model.classes).to_string()),
            entry("net", model.net.source.clone()),
            entry("eigenvalues", serde_json::json!(model.statistics.eigenvalues).to_string()),
            entry("eigenvectors", serde_json::json!(model.statistics.eigenvectors).to_string()),
        ],
    }
    .encode_to_vec()
}

fn info(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dimension = |value| Dimension { value: Some(value) };
    let mut dim = vec![dimension(DimensionValue::Name("N".to_string()))];
    dim.extend(dims.iter().map(|&extent| dimension(DimensionValue::Number(extent as i64))));
    let tensor_type = Some(TensorType { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) });
    ValueInfoProto { name: name.to_string(), r#type: Some(TypeProto { tensor_type }) }
}

#[derive(Default)]
struct Graph {
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
}

impl Graph {
    fn tensor(&mut self, tensor: &Tensor) {
        self.tensors.push(TensorProto {
            dims: tensor.dims.iter().map(|&extent| extent as i64).collect(),
            data_type: FLOAT,
            name: tensor.name.clone(),
            raw_data: tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
    }

    /// A number that is part of a formula; gives its name.
    fn scalar(&mut self, name: String, value: f64) -> String {
        self.tensor(&Tensor { name: name.clone(), dims: Vec::new(), values: vec![value as f32] });
        name
    }

    /// Adds a node with one output of its own name; gives that name.
    fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.node_into(op, name, inputs, name, attributes);
        name.to_string()
    }

    fn node_into(&mut self, op: &str, name: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|input| (*input).to_string()).collect(),
            output: vec![output.to_string()],
            name: name.to_string(),
            op_type: op.to_string(),
            attribute: attributes,
        });
    }

    /// Adds a layer that reads `value`; gives the name of what it gives.
    fn layer(&mut self, portable: &PortableLayer, value: &str) -> String {
        let (layer, input) = (&portable.layer, portable.input);
        let (name, output) = (layer.name.as_str(), layer.output);
        if let Some(weights) = &portable.weights {
            self.tensor(&weights.weight);
            self.tensor(&weights.bias);
            let operands = [&weights.weight.name[..], &weights.bias.name];
            return match layer.kind {
                Kind::Conv { size, stride, pad, .. } => {
                    let mut attributes = window(input, output, size, stride, pad);
                    attributes.push(integer("group", weights.groups));
                    self.node("Conv", name, &[value, operands[0], operands[1]], attributes)
                }
                _ => {
                    let flat = self.node("Flatten", &format!("{name}.flat"), &[value], vec![integer("axis", 1)]);
                    self.node("Gemm", name, &[&flat, operands[0], operands[1]], vec![integer("transB", 1)])
                }
            };
        }
        match layer.kind {
            Kind::Activation(Activation::Relu) => self.node("Relu", name, &[value], Vec::new()),
            Kind::Activation(Activation::Tanh { a, b }) => {
                let (a, b) = (self.scalar(format!("{name}.a"), a.into()), self.scalar(format!("{name}.b"), b.into()));
                let scaled = self.node("Mul", &format!("{name}.scaled"), &[value, &b], Vec::new());
                let tanh = self.node("Tanh", &format!("{name}.tanh"), &[&scaled], Vec::new());
                self.node("Mul", name, &[&tanh, &a], Vec::new())
            }
            Kind::Pool { size, stride, .. } => {
                self.node("MaxPool", name, &[value], window(input, output, size, stride, 0))
            }
            Kind::Lrn { size, k, alpha, alpha_mode, beta } => {
                // ONNX divides alpha by the window's size.
                let alpha = alpha_mode.factor(alpha, size) * size as f64;
                let attributes =
                    || vec![integer("size", size), float("alpha", alpha), float("beta", beta), float("bias", k)];
                match layer.reads {
                    Reads::Own if output.towers > 1 => {
                        let parts = self.split(name, value, output);
                        let normed: Vec<String> = parts
                            .iter()
                            .map(|part| self.node("LRN", &format!("{part}.norm"), &[part], attributes()))
                            .collect();
                        let normed: Vec<&str> = normed.iter().map(String::as_str).collect();
                        self.node("Concat", name, &normed, vec![integer("axis", 1)])
                    }
                    _ => self.node("LRN", name, &[value], attributes()),
                }
            }
            Kind::MapNorm { size, k, alpha, alpha_mode, beta } => {
                self.map_norm(name, value, size, [k, alpha_over_mean(alpha, alpha_mode, size), beta])
            }
            Kind::Softmax => self.node("Softmax", name, &[value], vec![integer("axis", 1)]),
            // Dropout is left out, layers with weights were done.
            Kind::Dropout { .. } | Kind::Conv { .. } | Kind::Fc { .. } => value.to_string(),
        }
    }

    /// Cuts the channels into towers; gives the parts' names.
    fn split(&mut self, name: &str, value: &str, extent: Extent) -> Vec<String> {
        let sizes = format!("{name}.sizes");
        self.tensors.push(TensorProto {
            dims: vec![extent.towers as i64],
            data_type: INT64,
            name: sizes.clone(),
            raw_data: (extent.channels as i64).to_le_bytes().repeat(extent.towers),
        });
        let parts: Vec<String> = (0..extent.towers).map(|tower| format!("{name}.tower{tower}")).collect();
        self.nodes.push(NodeProto {
            input: vec![value.to_string(), sizes],
            output: parts.clone(),
            name: format!("{name}.split"),
            op_type: "Split".to_string(),
            attribute: vec![integer("axis", 1)],
        });
        parts
    }

    /// Normalisation within a map: an average of squares that counts the padding, then powers.
    fn map_norm(&mut self, name: &str, value: &str, size: usize, [k, alpha, beta]: [f64; 3]) -> String {
        let part = |what: &str| format!("{name}.{what}");
        let [k, alpha, beta] =
            [("k", k), ("alpha", alpha), ("beta", beta)].map(|(what, value)| self.scalar(part(what), value));
        let squares = self.node("Mul", &part("squares"), &[value, value], Vec::new());
        let half = size / 2;
        let attributes = vec![
            integers("kernel_shape", &[size; 2]),
            integers("strides", &[1; 2]),
            integers("pads", &[half; 4]),
            integer("count_include_pad", 1),
        ];
        let mean = self.node("AveragePool", &part("mean"), &[&squares], attributes);
        let scaled = self.node("Mul", &part("scaled"), &[&mean, &alpha], Vec::new());
        let sum = self.node("Add", &part("sum"), &[&scaled, &k], Vec::new());
        let power = self.node("Pow", &part("power"), &[&sum, &beta], Vec::new());
        self.node("Div", name, &[value, &power], Vec::new())
    }
}

/// The factor of the mean over a whole window.
fn alpha_over_mean(alpha: f64, mode: AlphaMode, size: usize) -> f64 {
    mode.factor(alpha, size * size) * (size * size) as f64
}

/// Window, steps and padding: above, left, below, right.
fn window(input: Extent, output: Extent, size: usize, stride: usize, pad: usize) -> Vec<AttributeProto> {
    let below = overhang(input.height, output.height, size, stride, pad);
    let right = overhang(input.width, output.width, size, stride, pad);
    vec![
        integers("kernel_shape", &[size; 2]),
        integers("strides", &[stride; 2]),
        integers("pads", &[pad, pad, below, right]),
    ]
}

fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto { name: name.to_string(), f: value as f32, r#type: 1, ..AttributeProto::default() }
}

fn integer(name: &str, value: usize) -> AttributeProto {
    AttributeProto { name: name.to_string(), i: value as i64, r#type: 2, ..AttributeProto::default() }
}

fn integers(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: name.to_string(), ints, r#type: 7, ..AttributeProto::default() }
}
