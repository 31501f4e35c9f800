"""Runs an exported network: run_onnx.py MODEL.onnx PIXELS.f32 IMAGES > probabilities as f32.

PIXELS.f32 holds [IMAGES, 3, crop, crop] as little-endian f32, as the network's input wants them."""
import sys

import numpy
import onnxruntime

model, pixels, images = sys.argv[1], sys.argv[2], int(sys.argv[3])
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
shape = [images] + session.get_inputs()[0].shape[1:]
(probabilities,) = session.run(None, {"pixels": numpy.fromfile(pixels, "<f4").reshape(shape)})
sys.stdout.buffer.write(probabilities.astype("<f4").tobytes())
