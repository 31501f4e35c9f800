"""Writes a Caffe model with random weights: write_caffe.py NET OLD FOLDER PIXELS.f32 IMAGES > probabilities as f32.

NET is bvlc-alexnet or caffenet. FOLDER gets model.caffemodel, made from the definition of its messages in caffe.proto;
with OLD = 1 its layers are of the kind of before 2014. OpenCV 4 reads and runs it. PIXELS.f32 holds
[IMAGES, 3, 227, 227], red, green, blue from 0 to 255."""
import sys

import cv2
import numpy
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

MEAN_BGR = numpy.float32([104.00699, 116.66877, 122.67891])
CONVOLUTIONS = {  # outputs, inputs of a group, size, stride, pad, groups
    "conv1": (96, 3, 11, 4, 0, 1),
    "conv2": (256, 48, 5, 1, 2, 2),
    "conv3": (384, 256, 3, 1, 1, 1),
    "conv4": (384, 192, 3, 1, 1, 2),
    "conv5": (256, 192, 3, 1, 1, 2),
}
CONNECTED = {"fc6": (4096, 9216), "fc7": (4096, 4096), "fc8": (10, 4096)}
OLD_TYPES = {"Convolution": 4, "InnerProduct": 14, "LRN": 15, "Pooling": 17, "ReLU": 18, "Softmax": 20}


def messages():
    """The part of caffe.proto that a model's weights need."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    types = dict(string=9, float=2, int32=5, int64=3)

    def message(title, /, **fields):
        made = file.message_type.add(name=title)
        for field, (number, kind, repeated) in fields.items():
            it = made.field.add(name=field, number=number, label=3 if repeated else 1)
            it.type = types.get(kind, 11)
            if kind not in types:
                it.type_name = ".caffe." + kind
            elif repeated and kind in ("float", "int64"):
                it.options.packed = True

    message("BlobShape", dim=(1, "int64", True))
    message("BlobProto", num=(1, "int32", False), channels=(2, "int32", False), height=(3, "int32", False),
            width=(4, "int32", False), data=(5, "float", True), shape=(7, "BlobShape", False))
    message("LayerParameter", name=(1, "string", False), type=(2, "string", False), bottom=(3, "string", True),
            top=(4, "string", True), blobs=(7, "BlobProto", True))
    message("V1LayerParameter", bottom=(2, "string", True), top=(3, "string", True), name=(4, "string", False),
            type=(5, "int32", False), blobs=(6, "BlobProto", True))
    message("NetParameter", name=(1, "string", False), layers=(2, "V1LayerParameter", True),
            layer=(100, "LayerParameter", True))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def layers(net):
    """Name, type and settings of the layers."""
    normal, pooled = ["LRN"], ["Pooling"]
    between = normal + pooled if net == "bvlc-alexnet" else pooled + normal
    for name, (outputs, _, size, stride, pad, groups) in CONVOLUTIONS.items():
        number = name[-1]
        yield name, "Convolution", (f"convolution_param {{ num_output: {outputs} kernel_size: {size} stride: {stride} "
                                    f"pad: {pad} group: {groups} }}")
        yield "relu" + number, "ReLU", ""
        for kind in between if number in "12" else pooled if number == "5" else []:
            if kind == "LRN":
                yield "norm" + number, kind, "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
            else:
                yield "pool" + number, kind, "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
    for name, (outputs, _) in CONNECTED.items():
        yield name, "InnerProduct", f"inner_product_param {{ num_output: {outputs} }}"
        if name != "fc8":
            yield "relu" + name[-1], "ReLU", ""
    yield "prob", "Softmax", ""


net, old, folder, pixels, images = sys.argv[1], sys.argv[2] == "1", sys.argv[3], sys.argv[4], int(sys.argv[5])
random = numpy.random.default_rng(1)
model = messages()(name=net)
text, bottom = 'input: "data" input_dim: %d input_dim: 3 input_dim: 227 input_dim: 227\n' % images, "data"
for name, kind, settings in layers(net):
    text += f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{name}" {settings} }}\n'
    layer = model.layers.add(name=name, type=OLD_TYPES[kind]) if old else model.layer.add(name=name, type=kind)
    layer.bottom.append(bottom)
    layer.top.append(name)
    if name in CONVOLUTIONS or name in CONNECTED:
        outputs, inputs, size = CONVOLUTIONS[name][:3] if name in CONVOLUTIONS else (*CONNECTED[name], None)
        dims = [outputs, inputs] + ([size, size] if size else [])
        weight = random.normal(0, (2 / numpy.prod(dims[1:])) ** 0.5, dims).astype("f4")
        if name == "fc8":
            weight *= 0.02  # an answer that is neither certain nor undecided
        for values in weight, random.normal(0, 0.1, outputs).astype("f4"):
            blob = layer.blobs.add()
            blob.data.extend(values.ravel().tolist())
            if old:
                blob.num, blob.channels, blob.height, blob.width = [1] * (4 - values.ndim) + list(values.shape)
            else:
                blob.shape.dim.extend(values.shape)
    bottom = name
with open(f"{folder}/model.caffemodel", "wb") as file:
    file.write(model.SerializeToString())
with open(f"{folder}/deploy.prototxt", "w") as file:
    file.write(text)

caffe = cv2.dnn.readNetFromCaffe(f"{folder}/deploy.prototxt", f"{folder}/model.caffemodel")
x = numpy.fromfile(pixels, "<f4").reshape(images, 3, 227, 227)[:, ::-1] - MEAN_BGR[:, None, None]
caffe.setInput(numpy.ascontiguousarray(x))
sys.stdout.buffer.write(caffe.forward().reshape(images, 10).astype("<f4").tobytes())
