"""ResNet-18 with a 32x32 stem on CIFAR-10, a plain loop: `python -m bench.plain.resnet SECONDS OPTIMIZER`.

Eager float32, batch 128, pictures in memory as one tensor, crop and flip for the whole batch at once, so that loading
is not what is measured. Trains for so many seconds, then tests once.
"""

import io
import os
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn, optim
from torch.nn import functional as F

MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1)
STD = torch.tensor([0.2470, 0.2435, 0.2616]).view(1, 3, 1, 1)


class BasicBlock(nn.Module):
    def __init__(self, in_planes, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_planes, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        blocks, planes = [], 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [BasicBlock(planes, width, stride), BasicBlock(width, width, 1)]
            planes = width
        self.layers = nn.Sequential(*blocks)
        self.linear = nn.Linear(512, 10)

    def forward(self, x):
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


def read(path):
    """All pictures of the archive, uint8 [N, 3, 32, 32], and labels, for train and test."""
    found = {"train": [], "test": []}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                part, name, _ = member.name.split("/")
                found[part].append((np.asarray(Image.open(io.BytesIO(archive.extractfile(member).read()))), name))
    names = sorted({name for _, name in found["train"]})
    return {
        part: (
            torch.from_numpy(np.stack([picture for picture, _ in items])).permute(0, 3, 1, 2).contiguous(),
            torch.tensor([names.index(name) for _, name in items]),
        )
        for part, items in found.items()
    }


def augment(images):
    """Crop out of a border of 4 and flip, each picture its own way; uint8 in, normalised float out."""
    count = len(images)
    padded = F.pad(images, (4, 4, 4, 4))
    rows = torch.randint(0, 9, (count, 1)) + torch.arange(32)
    columns = torch.randint(0, 9, (count, 1)) + torch.arange(32)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    cropped = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return normalise(cropped.permute(0, 3, 1, 2))


def normalise(images):
    return (images.float() / 255 - MEAN) / STD


def main():
    seconds, name = float(sys.argv[1]), sys.argv[2]
    data = read(Path(os.environ["DEEPEN_DATA"]) / "cifar10" / "cifar10.tar.gz")
    images, labels = data["train"]
    model = ResNet18()
    criterion = nn.CrossEntropyLoss()
    if name == "sgd":
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    else:
        optimizer = optim.Adam(model.parameters(), lr=0.001)

    model.train()
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for index in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            loss = criterion(model(augment(images[index])), labels[index])
            loss.backward()
            optimizer.step()
            steps += 1
            if time.perf_counter() - start > seconds:
                break
    elapsed = time.perf_counter() - start

    model.eval()
    images, labels = data["test"]
    with torch.no_grad():
        right = sum(
            (model(normalise(images[index])).argmax(1) == labels[index]).sum().item()
            for index in torch.arange(len(images)).split(500)
        )
    print(f"steps {steps} seconds {elapsed:.1f} test accuracy {right / len(images):.4f}")


if __name__ == "__main__":
    main()
