"""ResNet-20 for 32x32 pictures (He et al., 2015) on CIFAR-10, a plain loop: `python -m bench.plain.resnet20 SECONDS`.

Eager float32, the paper's batch 128, rate 0.1, momentum and weight decay; pictures in memory, crop and flip for the whole
batch at once. The rate falls along half a cosine over the time that there is. Trains for so many seconds, then tests once.
"""

import math
import os
import sys
import time
from pathlib import Path

import torch
from torch import nn, optim
from torch.nn import functional as F

from bench.plain.resnet import augment, normalise, read


class Block(nn.Module):
    def __init__(self, in_planes, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.stride, self.more = stride, planes - in_planes

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.more:
            half = self.more // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return F.relu(out + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks, planes = [], 16
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            blocks += [Block(planes, width, stride), Block(width, width, 1), Block(width, width, 1)]
            planes = width
        self.layers = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x):
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))


def main():
    seconds = float(sys.argv[1])
    data = read(Path(os.environ["DEEPEN_DATA"]) / "cifar10" / "cifar10.tar.gz")
    images, labels = data["train"]
    model = ResNet20()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    model.train()
    start, steps, done = time.perf_counter(), 0, 0.0
    while done < 1:
        for index in torch.randperm(len(images)).split(128):
            optimizer.param_groups[0]["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * done))
            optimizer.zero_grad()
            loss = criterion(model(augment(images[index])), labels[index])
            loss.backward()
            optimizer.step()
            steps += 1
            done = (time.perf_counter() - start) / seconds
            if done >= 1:
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
