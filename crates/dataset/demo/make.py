#!/usr/bin/env python3
"""Makes the demo set: ten lossless WebP contact sheets, one a class, from Fashion-MNIST.

Usage: make.py FASHION_MNIST_DIR OUT_DIR    (needs numpy and Pillow)

A sheet holds 1,000 images of 28x28, 20 a row: the first 800 images of its class in the training
file, then the first 200 of its class in the test file. The class is the sheet's number, so no label
is stored. Prints the FNV-1a hash of all pixels in sheet order, which the crate's test compares.
"""
import gzip
import sys
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN, TEST, COLUMNS, SIZE = 800, 200, 20, 28


def read(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    images = gzip.open(folder / f"{prefix}-images-idx3-ubyte.gz").read()
    labels = gzip.open(folder / f"{prefix}-labels-idx1-ubyte.gz").read()
    return np.frombuffer(images[16:], np.uint8).reshape(-1, SIZE, SIZE), np.frombuffer(labels[8:], np.uint8)


def main() -> None:
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    train, test = read(source, "train"), read(source, "t10k")
    digest, total = 0xCBF29CE484222325, 0
    for label in range(10):
        parts = [images[labels == label][:n] for (images, labels), n in ((train, TRAIN), (test, TEST))]
        pixels = np.concatenate(parts)
        for byte in pixels.tobytes():
            digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        rows = len(pixels) // COLUMNS
        sheet = pixels.reshape(rows, COLUMNS, SIZE, SIZE).transpose(0, 2, 1, 3).reshape(rows * SIZE, COLUMNS * SIZE)
        path = out / f"{label}.webp"
        Image.fromarray(sheet).convert("RGB").save(path, lossless=True, quality=100, method=6)
        total += path.stat().st_size
    print(f"{total} bytes, pixels {digest:#018x}")


main()
