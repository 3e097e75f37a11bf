"""The network that compares pictures sees with the weights that it was given, all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from deepen.errors import Problem
from deepen.models import resnet
from deepen.nn.borrowed import preset
from deepen.spec import Category, Image, Spec
from deepen.tasks.perceptual import seen_by


def test_its_first_layers_are_those_of_the_weights(tmp_path: Path) -> None:
    """Of a network for small pictures, which are compared at any size."""
    spec = Spec(Image(3, 32, 32), Category(("a", "b")))
    state = resnet.build(spec, replace(preset("resnet20"), stem="small")).state_dict()
    save_file(state, tmp_path / "small.safetensors")
    seen, _, _ = seen_by("resnet20", str(tmp_path / "small.safetensors"))
    assert torch.equal(seen.network.get_parameter("conv1.weight"), state["conv1.weight"])
    save_file({name: v for name, v in state.items() if name != "bn1.running_var"}, tmp_path / "less.safetensors")
    with pytest.raises(Problem, match=r"task\.features=resnet20 would see at random: 1 tensor is not in .*running_var"):
        seen_by("resnet20", str(tmp_path / "less.safetensors"))
