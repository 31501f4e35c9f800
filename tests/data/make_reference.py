#!/usr/bin/env python3
"""Reference tensors of a small AlexNet, computed by PyTorch in float64 on the CPU.

    python3 make_reference.py [--out DIR]      writes small_lrn1.npz and small_lrn2.npz

small_lrn1: the windows of the response normalisation run over all maps. small_lrn2: they stop between the towers.

Parameters, input, labels and dropout masks are functions of (seed, stream, index), so they are not stored:
    mix(z) = SplitMix64's finaliser
    h(stream, i) = mix(mix(seed * 2^32 + stream + GOLDEN) + (i + 1) * GOLDEN),  k = h >> 40 (24 bits)
    r = (2k + 1 - 2^24) / 2^24 in f32,  value = r * scale + base, each step rounded to f32
Streams: parameter number t uses t (conv1.w, conv1.b, ..., fc8.b); input 100 (scale 128); labels 101 (k mod classes);
masks of step s: 200 + 2s behind fc6, 201 + 2s behind fc7 (kept when k >= 2^23).
Tensors are OIHW and NCHW, fc6 reads pool5 flattened as (c, h, w).

Arrays, all f64:
    act/LAYER gact/LAYER grad/PARAMETER gx loss logp     one forward and backward pass; gact is d loss / d act
    drop/... dropp/...                                   the same with masks, kept units doubled (drop) or not (dropp)
    eval/logits_inverted eval/logits_paper               a test of both conventions
    traj/nodrop traj/wd traj/drop traj/dropp             loss before each step, and after the last one
    f32/traj/...                                         the same by PyTorch in float32
    v1/ p20/ v20/ p20wd/                                 velocities after one step, parameters and velocities after
                                                         the last ("20", whatever their number)
    y                                                    labels
    meta                                                 JSON: the network, and how far float32 is from float64
An array of more than LARGEST numbers is replaced by NAME/stat (sum, sum of magnitudes, l2 norm, count) and NAME/val,
its values at the positions NAME/idx.

Every constant is rounded to f32 first: a program that keeps its settings in f32 and computes in f64 agrees to 1e-12.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

SEED = 1112
BATCH = 2
STEPS = 8
LARGEST = 4096
SAMPLES = 256
GOLDEN = np.uint64(0x9E3779B97F4A7C15)

SIZE = 64
CLASSES = 10
# cin, cout, k, stride, pad, groups. conv5's padding of 2 leaves pool5 2 x 2 pixels, so that fc6 sees their order.
CONV = [(3, 8, 11, 4, 2, 1), (8, 16, 5, 1, 2, 2), (16, 16, 3, 1, 1, 1), (16, 16, 3, 1, 1, 2), (16, 16, 3, 1, 2, 2)]
FC = [(64, 16), (16, 16), (16, CLASSES)]


def f32(x):
    return float(np.float32(x))


ALPHA, BETA, K, WINDOW = f32(1e-4), 0.75, 2.0, 5
RATE, MOMENTUM, DECAY, LARGE_DECAY = f32(2e-4), f32(0.9), f32(0.0005), f32(0.1)


def mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def bits(stream, count):
    with np.errstate(over="ignore"):
        start = mix(np.array([(SEED << 32) + stream], np.uint64) + GOLDEN)
        return (mix(start + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN) >> np.uint64(40)).astype(np.int64)


def values(stream, shape, scale, base=0.0):
    r = (2 * bits(stream, math.prod(shape)) + 1 - (1 << 24)).astype(np.float32) * np.float32(2.0**-24)
    return (r * np.float32(scale) + np.float32(base)).reshape(shape)


def describe_parameters():
    described = []

    def add(name, shape, scale, base):
        described.append(dict(name=name, shape=list(shape), scale=f32(scale), base=base, stream=len(described)))

    for i, (cin, cout, k, _, _, groups) in enumerate(CONV):
        # He's deviation; conv3 brings values that come from raw pixels down to about 1.
        deviation = math.sqrt(2 / (cin // groups * k * k)) * (0.05 if i == 2 else 1)
        add(f"conv{i + 1}.w", (cout, cin // groups, k, k), deviation * math.sqrt(3), 0.0)
        add(f"conv{i + 1}.b", (cout,), 0.05, [0.0, 1.0, 0.0, 0.1, 0.1][i])
    for i, (inputs, outputs) in enumerate(FC):
        deviation = math.sqrt(2 / inputs) * (0.5 if i == 2 else 1)
        add(f"fc{i + 6}.w", (outputs, inputs), deviation * math.sqrt(3), 0.0)
        add(f"fc{i + 6}.b", (outputs,), 0.05, [0.1, 0.1, 0.0][i])
    for parameter in described:
        parameter["base"] = f32(parameter["base"])
    return described


def mask(step, i):
    return torch.tensor(bits(200 + 2 * step + i, BATCH * FC[i][1]) >= 1 << 23).reshape(BATCH, -1)


def lrn(x, groups):
    towers = []
    for tower in x.chunk(groups, 1):
        maps = tower.shape[1]
        squares = F.pad(tower * tower, (0, 0, 0, 0, WINDOW // 2, WINDOW // 2))
        total = sum(squares[:, i : i + maps] for i in range(WINDOW))
        towers.append(tower * (K + ALPHA * total) ** -BETA)
    return torch.cat(towers, 1)


def forward(parameters, x, groups, masks, factor, keep):
    """Logits. Behind fc6 and fc7 everything is multiplied by mask and factor; keep(name, tensor) sees every tensor."""
    for i, (_, _, _, stride, pad, conv_groups) in enumerate(CONV):
        x = keep(f"conv{i + 1}", F.conv2d(x, *parameters[2 * i : 2 * i + 2], stride, pad, 1, conv_groups))
        x = keep(f"relu{i + 1}", F.relu(x))
        if i < 2:
            x = keep(f"lrn{i + 1}", lrn(x, groups))
        if i in (0, 1, 4):
            x = keep(f"pool{i + 1}", F.max_pool2d(x, 3, 2))
    x = x.flatten(1)
    for i in range(3):
        x = keep(f"fc{i + 6}", F.linear(x, *parameters[10 + 2 * i : 12 + 2 * i]))
        if i < 2:
            x = keep(f"relu{i + 6}", F.relu(x)) * factor
            if masks is not None:
                x = keep(f"drop{i + 6}", x * masks[i].to(x.dtype))
    return x


def no_keep(_, tensor):
    return tensor


def tensors_of_a_step(names, start, x, y, groups, masks, factor, dtype):
    parameters = [torch.tensor(p, dtype=dtype, requires_grad=True) for p in start]
    x = torch.tensor(x, dtype=dtype, requires_grad=True)
    kept = {}

    def keep(name, tensor):
        tensor.retain_grad()
        kept[name] = tensor
        return tensor

    logp = F.log_softmax(forward(parameters, x, groups, masks, factor, keep), 1)
    loss = F.nll_loss(logp, y)
    loss.backward()
    found = {"loss": loss, "logp": logp, "gx": x.grad}
    for name, tensor in kept.items():
        found["act/" + name], found["gact/" + name] = tensor, tensor.grad
    for name, parameter in zip(names, parameters):
        found["grad/" + name] = parameter.grad
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def train(start, x, y, groups, masks, factor, decay, dtype):
    """Losses, and {step: (parameters, velocities)} after the first and the last step."""
    parameters = [torch.tensor(p, dtype=dtype) for p in start]
    velocities = [torch.zeros_like(p) for p in parameters]
    x = torch.tensor(x, dtype=dtype)
    losses, states = [], {}
    for step in range(STEPS + 1):
        parameters = [p.detach().requires_grad_() for p in parameters]
        step_masks = None if masks is None else masks[min(step, STEPS - 1)]
        loss = F.cross_entropy(forward(parameters, x, groups, step_masks, factor, no_keep), y)
        losses.append(float(loss.detach()))
        if step == STEPS:
            return np.array(losses), states
        loss.backward()
        with torch.no_grad():
            for i, p in enumerate(parameters):
                velocities[i] = MOMENTUM * velocities[i] - decay * RATE * p - RATE * p.grad
            parameters = [p + v for p, v in zip(parameters, velocities)]
        if step + 1 in (1, STEPS):
            states[step + 1] = [[t.detach().numpy() for t in list_] for list_ in (parameters, velocities)]


def distance(a, b):
    return float(np.linalg.norm(np.asarray(a, np.float64) - b) / np.linalg.norm(b))


def make(groups):
    described = describe_parameters()
    names = [p["name"] for p in described]
    start = [values(p["stream"], p["shape"], p["scale"], p["base"]) for p in described]
    x = values(100, (BATCH, 3, SIZE, SIZE), 128.0)
    y = torch.tensor(bits(101, BATCH) % CLASSES)
    masks = [[mask(step, i) for i in (0, 1)] for step in range(STEPS)]
    wide, narrow = torch.float64, torch.float32
    arrays, distances = {}, {}

    def put(name, value, in_f32):
        arrays[name] = value
        distances[name] = distance(in_f32, value)

    runs = {"": (None, 1.0), "drop/": (masks[0], 2.0), "dropp/": (masks[0], 1.0)}
    for prefix, (step_masks, factor) in runs.items():
        right, rounded = (
            tensors_of_a_step(names, start, x, y, groups, step_masks, factor, dtype) for dtype in (wide, narrow)
        )
        for name, value in right.items():
            # What lies before fc6 does not depend on dropout, except for the gradients of the parameters.
            if not prefix or name.startswith("grad") or "fc" in name or "drop" in name or name in ("loss", "logp"):
                put(prefix + name, value, rounded[name])
    for name, factor in (("inverted", 1.0), ("paper", 0.5)):
        parameters = [torch.tensor(p, dtype=wide) for p in start]
        logits = forward(parameters, torch.tensor(x, dtype=wide), groups, None, factor, no_keep)
        arrays["eval/logits_" + name] = logits.numpy()

    trajectories = {
        "nodrop": (None, 1.0, DECAY),
        "wd": (None, 1.0, LARGE_DECAY),
        "drop": (masks, 2.0, DECAY),
        "dropp": (masks, 1.0, DECAY),
    }
    for name, (run_masks, factor, decay) in trajectories.items():
        (losses, states), (losses32, states32) = (
            train(start, x, y, groups, run_masks, factor, decay, dtype) for dtype in (wide, narrow)
        )
        put("traj/" + name, losses, losses32)
        arrays["f32/traj/" + name] = losses32
        wanted = {"nodrop": [("v1", 1, 1), ("p20", STEPS, 0), ("v20", STEPS, 1)], "wd": [("p20wd", STEPS, 0)]}
        for tag, step, which in wanted.get(name, []):
            for i, parameter in enumerate(names):
                put(f"{tag}/{parameter}", states[step][which][i], states32[step][which][i])
        print(name, " ".join(f"{loss:.4f}" for loss in losses), f"f32 {distance(losses32, losses):.1e}")

    for name, value in list(arrays.items()):
        if value.size > LARGEST:
            flat = arrays.pop(name).reshape(-1)
            idx = bits(1000, SAMPLES) * 2654435761 % flat.size
            arrays[name + "/stat"] = np.array([flat.sum(), np.abs(flat).sum(), np.linalg.norm(flat), flat.size])
            arrays[name + "/idx"], arrays[name + "/val"] = idx, flat[idx]
    meta = dict(
        variant="small", seed=SEED, batch=BATCH, steps=STEPS, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY,
        weight_decay_wd_run=LARGE_DECAY, lrn=dict(n=WINDOW, k=K, alpha=ALPHA, beta=BETA, groups=groups),
        input=[3, SIZE, SIZE], conv=[dict(zip(("cin", "cout", "k", "stride", "pad", "groups"), c)) for c in CONV],
        fc=FC, classes=CLASSES, params=described, f32_vs_f64_rel=distances,
    )  # fmt: skip
    arrays["y"] = y.numpy().astype(np.int32)
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    return arrays, distances


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    for lrn_groups in (1, 2):
        arrays, distances = make(lrn_groups)
        path = out / f"small_lrn{lrn_groups}.npz"
        np.savez(path, **{name: np.ascontiguousarray(value).reshape(value.shape) for name, value in arrays.items()})
        worst = max(distances, key=distances.get)
        print(f"{path}: {len(arrays)} arrays, {path.stat().st_size / 1e6:.2f} MB; float32 is furthest in {worst}")
        for kind in ("act/", "gact/", "grad/", "p20/", "v20/", "drop/grad"):
            print(f"  {kind} {max(d for name, d in distances.items() if name.startswith(kind)):.1e}")
        dead = {n: float((arrays[n] == 0).mean()) for n in arrays if n.startswith("act/relu")}
        print("  zeros", {n: round(v, 2) for n, v in dead.items()})
