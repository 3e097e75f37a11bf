"""A small network with torchvision's names, and a server on this machine that stands for those of the world."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepen.models import resnet
from deepen.spec import Category, Image, Spec


def small(classes: int = 3, channels: int = 3, *, seed: int = 0, bottleneck: bool = False) -> nn.Module:
    """A residual network of two short stages."""
    torch.manual_seed(seed)
    config = resnet.Config(depths=(1, 1), widths=(4, 8), block="bottleneck" if bottleneck else "basic", stem="imagenet")
    names = tuple(f"class {number}" for number in range(classes))
    model = resnet.build(Spec(Image(channels, 32, 32), Category(names)), config)
    for name, value in model.state_dict().items():
        if name.endswith(("running_mean", "running_var")):  # as after a training
            value.copy_(torch.rand(value.shape) + 0.5)
    return model


def numbers(model: nn.Module) -> dict[str, Tensor]:
    """What a file of its weights holds, without how many batches its normalisations have seen."""
    return {name: value.clone() for name, value in model.state_dict().items() if value.is_floating_point()}


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = numbers(one), numbers(other)
    return mine.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in mine.items())


class Server(http.server.ThreadingHTTPServer):
    """Serves what stands in `pages`, each under the path of its address."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        """Paths, and the token that came with each."""

    def transport(self, request: urllib.request.Request) -> Any:
        """Takes https addresses to this server, whatever their host."""
        assert request.full_url.startswith("https://"), request.full_url
        path = "/" + request.full_url.split("/", 3)[3]
        headers = dict(request.header_items())
        local = urllib.request.Request(f"http://127.0.0.1:{self.server_port}{path}", headers=headers)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(local, timeout=10)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if self.path not in self.server.pages:
            self.send_error(404)
            return
        content = self.server.pages[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of this test's own for everything that is looked for on the machine."""
    for name in ("DEEPEN_DATA", "TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
