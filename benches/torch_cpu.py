"""Steps of the paper's network in PyTorch on the processor, for `cargo xtask bench --against torch`.

    torch_cpu.py BATCH PRECISION THREADS STYLE

STYLE is `tuned` (NHWC, a response normalisation of our own, fused SGD) or `plain` (NCHW, PyTorch's normalisation and
SGD as its tutorials have it). Whether freed memory is kept is the environment's matter (`MALLOC_*`), which has to be
set before Python starts.

It speaks a few words: to each line on standard input, `train STEPS`, `infer STEPS` or `peak`, it answers with a line of
seconds, one for each step, or the most memory that was resident, in kilobytes. Its first line is its version.

The work is that of our net `paper`: towers as groups, normalisation across all maps, dropout, momentum and weight decay
on every parameter. conv1 pads two pixels on each side instead of three on one; the arithmetic is as much."""
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Normalise(torch.autograd.Function):
    """x * (2 + 1e-4 * sum of five neighbouring maps' squares) ^ -0.75, with nothing kept but the input."""

    @staticmethod
    def window(x):
        maps = x.shape[1]
        padded = F.pad(x, (0, 0, 0, 0, 2, 2))
        total = padded[:, :maps] + padded[:, 1 : maps + 1]
        for first in (2, 3, 4):
            total += padded[:, first : first + maps]
        return total

    @staticmethod
    def powers(x):
        root = Normalise.window(x * x).mul_(1e-4).add_(2).rsqrt_()
        return root, root * root.sqrt()

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        wide = x.float()
        return (wide * Normalise.powers(wide)[1]).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        wide, gradient = x.float(), gradient.float()
        root, power = Normalise.powers(wide)
        scaled = gradient * power
        sums = Normalise.window((scaled * wide).mul_(root).mul_(root))
        return scaled.sub_(sums.mul_(wide).mul_(1.5e-4)).to(x.dtype)


class Paper(nn.Module):
    def __init__(self, tuned):
        super().__init__()
        self.normalise = Normalise.apply if tuned else nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4, padding=2)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Linear(9216, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, 1000)
        for layer in self.children():
            if hasattr(layer, "weight"):
                nn.init.normal_(layer.weight, 0, 0.01)
                nn.init.ones_(layer.bias)

    def forward(self, x):
        x = F.max_pool2d(self.normalise(F.relu(self.conv1(x))), 3, 2)
        x = F.max_pool2d(self.normalise(F.relu(self.conv2(x))), 3, 2)
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        x = F.max_pool2d(F.relu(self.conv5(x)), 3, 2).flatten(1)
        for layer in (self.fc6, self.fc7):
            x = F.dropout(F.relu(layer(x)), 0.5, self.training)
        return self.fc8(x)


def peak():
    with open("/proc/self/status") as status:
        return next(line.split()[1] for line in status if line.startswith("VmHWM"))


def main():
    batch, precision, threads, style = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    tuned = style == "tuned"
    model = Paper(tuned)
    pixels = torch.randn(batch, 3, 224, 224) * 60
    labels = torch.randint(0, 1000, (batch,))
    if tuned:
        model = model.to(memory_format=torch.channels_last)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4, fused=tuned or None)
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")

    def train():
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            logits = model(pixels)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    def infer():
        with torch.inference_mode(), autocast:
            F.softmax(model(pixels).float(), 1)

    print(torch.__version__, flush=True)
    for line in sys.stdin:
        what, *count = line.split()
        if what == "peak":
            print(peak(), flush=True)
            continue
        model.train(what == "train")
        times = []
        for _ in range(int(count[0])):
            start = time.perf_counter()
            train() if what == "train" else infer()
            times.append(time.perf_counter() - start)
        print(*times, flush=True)


main()
