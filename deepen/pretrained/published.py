"""Weights that others have published, known by the SHA-256 of their files."""

from __future__ import annotations

from typing import Any

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""Of the training pictures of ImageNet, as torchvision's networks and many others were trained with."""

KNOWN: dict[str, dict[str, Any]] = {
    # CIFAR-10, ResNet-20 (github.com/akamaster/pytorch_resnet_cifar10)
    "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8": {"size": 32, **IMAGENET},
    # ImageNet, SqueezeNet 1.0 under torchvision's names
    "9d086ed9eed10a3d5f1a93e1180c745ffe8bfe6d4798bef977f95427732c8184": {"size": 227, **IMAGENET},
}
