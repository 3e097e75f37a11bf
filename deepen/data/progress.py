"""Long work that a console may show: decoding pictures, downloading, hashing.

Sources know nothing of consoles. They call `report`, and whoever wants to see it says so around the call:

    with shown_by(lambda what, done, total: ...):
        dataset = source.load(...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
"""Called with what is being done ("decoding pictures"), how much is done, and the total (0 where it is not known)."""

_listener: ContextVar[Listener | None] = ContextVar("deepen_progress", default=None)


@contextmanager
def shown_by(listener: Listener) -> Iterator[None]:
    """Send reports made inside the block to `listener`, in the thread that opened the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(what: str, done: int, total: int) -> None:
    """Tell the listener, if there is one. Called from the thread that loads, never from a pool's."""
    listener = _listener.get()
    if listener is not None:
        listener(what, done, total)
