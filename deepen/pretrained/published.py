"""Weights that others have published: the files, their SHA-256, and what their networks were shown.

torchvision's file names carry the first eight digits of the sum. Where no longer one is known it is those that are checked,
and said.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepen.errors import Misuse, unknown

ADDRESS = "https://download.pytorch.org/models/"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the training pictures of ImageNet, as torchvision's networks and many others were trained with."""
WHOLE = 64
"""Hexadecimal digits of a SHA-256."""


@dataclass(frozen=True)
class File:
    """A published file of weights."""

    name: str
    sha256: str
    """All of it, or the first digits."""
    origin: str
    address: str | None = None
    """Where it can be fetched."""
    size: int | None = None
    resize: int | None = None
    mean: tuple[float, ...] | None = MEAN
    std: tuple[float, ...] | None = STD

    def wrong(self, digest: str) -> str | None:
        """What is wrong with a file of this SHA-256, None for nothing."""
        if digest.startswith(self.sha256):
            return None
        beginning = "" if len(self.sha256) == WHOLE else "one that begins with "
        return f"it has SHA-256 {digest}, expected {beginning}{self.sha256}"

    @property
    def said(self) -> str:
        """Where it comes from, for people."""
        if len(self.sha256) == WHOLE:
            return self.origin
        return f"{self.origin}, of whose SHA-256 only the first {len(self.sha256)} digits are known and were checked"


# IMAGENET1K_V1 of each: trained as in the papers, scored at 224 pixels out of 256.
_TORCHVISION = {
    "alexnet": ("alexnet-owt-", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"),
    "vgg11": ("vgg11-", "8a719046"),
    "vgg13": ("vgg13-", "19584684"),
    "vgg16": ("vgg16-", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
    "vgg19": ("vgg19-", "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"),
    "vgg11-bn": ("vgg11_bn-", "6002323d9413ae02f657473d3ecbbd7f86ee496b8a0dc8dc6140a639a0fcf13d"),
    "vgg13-bn": ("vgg13_bn-", "abd245e5"),
    "vgg16-bn": ("vgg16_bn-", "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a"),
    "vgg19-bn": ("vgg19_bn-", "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6"),
    "resnet18": ("resnet18-", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"),
    "resnet34": ("resnet34-", "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f"),
    "resnet50": ("resnet50-", "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"),
    "resnet101": ("resnet101-", "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a"),
    "resnet152": ("resnet152-", "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58"),
    "squeezenet1-0": ("squeezenet1_0-", "b66bff10"),
    "squeezenet1-1": ("squeezenet1_1-", "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b"),
    "mobilenet-v3-small": ("mobilenet_v3_small-", "047dcff4addef86ea5bc2eff13c9614dc11f47ab1160d0a71a25e7db994f4e1f"),
    "mobilenet-v3-large": ("mobilenet_v3_large-", "8738ca797c879b547d18bbd15da5736ff2557b2036a9af72225393ca61759a04"),
}
FILES: dict[str, tuple[File, ...]] = {
    model: (
        File(
            name := f"{stem}{sum_[:8]}.pth",
            sum_,
            "imagenet (torchvision)",
            ADDRESS + name,
            size=224,
            resize=256,
        ),
    )
    for model, (stem, sum_) in _TORCHVISION.items()
}
"""Of networks trained on ImageNet, by name; the first of each is the one that is fetched, others are taken where they lie."""
FILES["squeezenet1-0"] += (
    File(
        "squeezenet1_0_imagenet.npz",
        "9d086ed9eed10a3d5f1a93e1180c745ffe8bfe6d4798bef977f95427732c8184",
        "imagenet (the authors' SqueezeNet 1.0)",
        size=227,
    ),
)
OTHERS = (
    File(
        "resnet20-12fca82f.th",
        "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8",
        "resnet20-12fca82f.th (CIFAR-10, Idelbayev)",
        size=32,
    ),
)


def known(digest: str) -> File | None:
    """The published file of this SHA-256, whatever it is called now."""
    every = (*OTHERS, *(file for files in FILES.values() for file in files))
    return next((file for file in every if digest.startswith(file.sha256)), None)


def for_imagenet(model_name: str) -> tuple[File, ...]:
    """The published weights of a network that was trained on ImageNet. Raises `Misuse` where none are known."""
    if model_name not in FILES:
        raise Misuse(
            f"pretrained=imagenet: {unknown('network with published ImageNet weights', model_name, FILES)} Or give a file of "
            "weights, hf:owner/name or a run."
        )
    return FILES[model_name]
