"""The text that tokens make, told while they come: what is told in pieces is what all of them say together.

A text is not the sum of its tokens' texts. A character may be spread over several tokens, a blank may stand only between two
words, and the blank before the first word is left out by some tokenizers. So a few tokens are decoded together, and what is new
of that is told; those whose text has been told are dropped but for the last, which keep what follows from being a beginning.
"""

from __future__ import annotations

from collections.abc import Sequence

from deepen.data.tokenizer import REPLACEMENT, Characters, Pieces


class Spelling:
    """Tells what follows the tokens `read`, up to the text `stop`."""

    def __init__(self, tokenizer: Characters | Pieces, read: Sequence[int], stop: str | None = None) -> None:
        self.ended = False
        """Whether `stop` was met."""
        self._tokenizer = tokenizer
        self._bytes = _bytes_of(tokenizer)
        self._together, self._dropped = list(read), len(read)
        """Tokens that are decoded together, and how many of them will be dropped when the others are told."""
        self._told = len(tokenizer.decode(read))
        self._stop = stop or ""
        self._held = ""
        """Text that may be the beginning of `stop`."""

    def add(self, token: int) -> str:
        """What is sure of the text now and has not been told."""
        self._together.append(token)
        if token in self._bytes:
            return ""
        text = self._tokenizer.decode(self._together)
        sure = text.removesuffix(REPLACEMENT)  # which may be half of a character
        new, self._told = sure[self._told :], max(self._told, len(sure))
        if new and sure == text:
            self._drop()
        return self._before_stop(new)

    def rest(self) -> str:
        """What has not been told when no token follows."""
        new = self._before_stop(self._tokenizer.decode(self._together)[self._told :])
        return new if self.ended else new + self._held

    def _drop(self) -> None:
        """Go on from the tokens that were told last: their text begins and ends between two characters."""
        told = len(self._tokenizer.decode(self._together[self._dropped :]))
        if told:
            del self._together[: self._dropped]
            self._dropped, self._told = len(self._together), told

    def _before_stop(self, new: str) -> str:
        text, self._held = self._held + new, ""
        if not self._stop:
            return text
        at = text.find(self._stop)
        if at >= 0:
            self.ended = True
            return text[:at]
        sizes = range(min(len(self._stop) - 1, len(text)), 0, -1)
        size = next((size for size in sizes if text.endswith(self._stop[:size])), 0)
        self._held = text[len(text) - size :]
        return text[: len(text) - size]


def _bytes_of(tokenizer: Characters | Pieces) -> frozenset[int]:
    """Tokens that are called by a byte, as those of Llama for what is in no piece. Bytes that follow each other are decoded
    together: one that fits none of them makes all of them unreadable."""
    if not isinstance(tokenizer, Pieces):
        return frozenset()
    found = (tokenizer.inner.token_to_id(f"<0x{byte:02X}>") for byte in range(256))
    return frozenset(token for token in found if token is not None)
