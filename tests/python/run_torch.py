"""Loads an exported network into PyTorch: run_torch.py MODEL.safetensors PIXELS.f32 IMAGES > probabilities as f32.

This is all that it takes; the file's metadata says what the layers are."""
import json
import sys

import numpy
import torch
import torch.nn.functional as F
from safetensors import safe_open


def window_norm(x, layer, sums):
    return x / (layer["k"] + layer["alpha"] * sums) ** layer["beta"]


def across_maps(x, layer):
    half = layer["size"] // 2
    squares = F.pad((x * x).unsqueeze(1), (0, 0, 0, 0, half, half))
    sums = F.avg_pool3d(squares, (layer["size"], 1, 1), stride=1).squeeze(1) * layer["size"]
    return window_norm(x, layer, sums)


def run(file, x):
    x = x - file.get_tensor("mean")
    for layer in json.loads(file.metadata()["layers"]):
        name, kind = layer["name"], layer["type"]
        if kind in ("conv", "fc"):
            weight, bias = file.get_tensor(f"{name}.weight"), file.get_tensor(f"{name}.bias")
        if kind == "conv":
            x = F.conv2d(F.pad(x, layer["padding"]), weight, bias, layer["stride"], groups=layer["groups"])
        elif kind == "fc":
            x = F.linear(x.flatten(1), weight, bias)
        elif kind == "relu":
            x = F.relu(x)
        elif kind == "tanh":
            x = layer["a"] * torch.tanh(layer["b"] * x)
        elif kind == "pool":
            x = F.max_pool2d(F.pad(x, layer["padding"], value=-torch.inf), layer["size"], layer["stride"])
        elif kind == "lrn":
            parts = x.chunk(layer["towers"], 1) if layer["per_tower"] else [x]
            x = torch.cat([across_maps(part, layer) for part in parts], 1)
        elif kind == "map_norm":
            size = layer["size"]
            x = window_norm(x, layer, F.avg_pool2d(x * x, size, 1, size // 2) * size * size)
        elif kind == "softmax":
            x = F.softmax(x, 1)
    return x


model, pixels, images = sys.argv[1], sys.argv[2], int(sys.argv[3])
with safe_open(model, "pt") as file, torch.no_grad():
    shape = [images] + list(file.get_tensor("mean").shape[1:])
    x = torch.from_numpy(numpy.fromfile(pixels, "<f4").reshape(shape))
    sys.stdout.buffer.write(run(file, x).numpy().astype("<f4").tobytes())
