"""Writes a torchvision alexnet with random weights: write_torchvision.py FOLDER PIXELS.f32 IMAGES > probabilities as f32.

FOLDER gets model.pth and model.safetensors; PIXELS.f32 holds [IMAGES, 3, 224, 224], red, green, blue from 0 to 255."""
import sys

import numpy
import torch
from safetensors.torch import save_file
from torchvision.models import alexnet
from torchvision.transforms import Normalize

folder, pixels, images = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.manual_seed(1)
model = alexnet(num_classes=10).eval()
with torch.no_grad():
    # As drawn, all images look alike to it.
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.kaiming_normal_(module.weight)
    x = torch.from_numpy(numpy.fromfile(pixels, "<f4").reshape(images, 3, 224, 224))
    x = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(x / 255)
    probabilities = model(x).softmax(1)
torch.save(model.state_dict(), f"{folder}/model.pth")
save_file(model.state_dict(), f"{folder}/model.safetensors")
sys.stdout.buffer.write(probabilities.numpy().astype("<f4").tobytes())
