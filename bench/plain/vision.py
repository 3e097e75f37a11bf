"""What torchvision's data set and transforms do to one picture, for scripts that are written with torchvision.

torchvision cannot be imported beside the CPU build of torch, so the few pieces that the scripts use are said here with
the same work per sample: a PIL picture made from the stored array, then the same PIL, numpy and torch calls, in order.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset


def idx(path: Path) -> np.ndarray:
    """MNIST's own file format: four bytes that name type and dimensions, the sizes, the values."""
    content = gzip.decompress(path.read_bytes())
    sizes = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(content[3])]
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)


class MNIST(Dataset):
    """Like torchvision's: tensors in memory, a PIL picture per sample, then the transform."""

    def __init__(self, root: Path, train: bool, transform: Callable[[Any], Any]) -> None:
        stem = "train" if train else "t10k"
        self.data = torch.from_numpy(idx(root / f"{stem}-images-idx3-ubyte.gz").copy())
        self.targets = torch.from_numpy(idx(root / f"{stem}-labels-idx1-ubyte.gz").astype(np.int64))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture, target = self.data[index], int(self.targets[index])
        return self.transform(Image.fromarray(picture.numpy())), target


class Compose:
    def __init__(self, transforms: list[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, picture: Any) -> Any:
        for transform in self.transforms:
            picture = transform(picture)
        return picture


class ToTensor:
    def __call__(self, picture: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        pixels = pixels.view(picture.size[1], picture.size[0], len(picture.getbands()))
        return pixels.permute((2, 0, 1)).contiguous().to(dtype=torch.float32).div(255)


class Normalize:
    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.mean, self.std = mean, std

    def __call__(self, pixels: Tensor) -> Tensor:
        pixels = pixels.clone()
        mean = torch.as_tensor(self.mean, dtype=pixels.dtype).view(-1, 1, 1)
        std = torch.as_tensor(self.std, dtype=pixels.dtype).view(-1, 1, 1)
        return pixels.sub_(mean).div_(std)


class RandomCrop:
    def __init__(self, size: int, padding: int) -> None:
        self.size, self.padding = size, padding

    def __call__(self, picture: Image.Image) -> Image.Image:
        picture = ImageOps.expand(picture, border=self.padding, fill=0)
        width, height = picture.size
        top = int(torch.randint(0, height - self.size + 1, size=(1,)).item())
        left = int(torch.randint(0, width - self.size + 1, size=(1,)).item())
        return picture.crop((left, top, left + self.size, top + self.size))


class RandomHorizontalFlip:
    def __call__(self, picture: Image.Image) -> Image.Image:
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if torch.rand(1) < 0.5 else picture
