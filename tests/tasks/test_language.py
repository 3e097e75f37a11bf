from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from deepen.data import tokenizer
from deepen.data.sentences import TextPreprocess
from deepen.data.stream import Windows
from deepen.errors import Problem
from deepen.models import gpt
from deepen.spec import PAD, Category, Spec, Text, Tokens
from deepen.tasks import language
from deepen.tasks.base import Writing

TEXT = "abcabcabdabcabc\n" * 20
FITTED = tokenizer.fit("characters", [TEXT], 100)
SPEC = Spec(Text(8, FITTED.vocabulary), Tokens(FITTED.vocabulary))
PREPROCESS = TextPreprocess(FITTED, 8)


def studied() -> tuple[language.Language, Windows]:
    windows = Windows(torch.from_numpy(FITTED.encode([TEXT])[0]), 8)
    task = language.build(SPEC, language.Config())
    task.study(windows, PREPROCESS)
    return task, windows


def model() -> gpt.GPT:
    torch.manual_seed(0)
    return gpt.build(SPEC, gpt.Config(layers=1, heads=2, width=16)).eval()


def test_numbers_are_means_over_tokens_whatever_the_windows() -> None:
    task, windows = studied()
    net = model()
    with torch.no_grad():
        rows = task.score(net, windows.between(0, len(windows)))
    found = task.measure(rows)
    batch = windows.between(0, len(windows))
    with torch.no_grad():
        logits = net(batch["input"]).transpose(1, 2)
    each = nn.functional.cross_entropy(logits, batch["target"], reduction="none")
    asked = batch["target"] != PAD
    assert found["loss"] == pytest.approx(float(each[asked].mean()), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]), rel=1e-5)
    assert found["bits_per_character"] == pytest.approx(found["loss"] / math.log(2), rel=1e-5)
    assert rows["tokens"].sum() == len(TEXT) - 1


def test_the_loss_of_a_batch_is_the_weighted_sum_of_its_pieces() -> None:
    """What accumulation relies on: the last window of a text is shorter."""
    task, windows = studied()
    net, whole = model(), windows.between(0, len(windows))
    assert (whole["target"] == PAD).any()
    found = 0.0
    with torch.no_grad():
        for part in (slice(0, 1), slice(1, None)):
            piece = {name: rows[part] for name, rows in whole.items()}
            found += task.counted(piece) / task.counted(whole) * float(task.loss(net, piece)[0])
        assert found == pytest.approx(float(task.loss(net, whole)[0]), rel=1e-5)


def test_the_baseline_knows_how_common_tokens_are() -> None:
    task, windows = studied()
    with torch.no_grad():
        rows = task.score(model(), windows.between(0, len(windows)))
    counts = torch.tensor([TEXT[1:].count(one) for one in sorted(set(TEXT))]).double()
    entropy = float(-(counts / counts.sum() * (counts / counts.sum()).log()).sum())
    assert task.baseline(rows)["loss"] == pytest.approx(entropy, rel=0.05)


class Chain(nn.Module):
    """Knows that b follows a, c follows b, a follows c."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(9.0))
        a, b, c = FITTED.encode(["abc"])[0].tolist()
        self.next = {a: b, b: c, c: a}

    def begin(self) -> list[object]:
        return [type("Held", (), {"filled": 0})()]

    def go_on(self, input: Tensor, caches: list[object]) -> Tensor:
        logits = torch.zeros(1, FITTED.vocabulary)
        logits[0, self.next[int(input[0, -1])]] = 9.0
        return logits * self.scale


def test_a_text_goes_on() -> None:
    task, _ = studied()
    written = "".join(task.write(Chain(), PREPROCESS, "ab", Writing(tokens=7, temperature=0)))
    assert written == "cabcabc"
    stopped = "".join(task.write(Chain(), PREPROCESS, "ab", Writing(tokens=50, temperature=0, stop="bc")))
    assert stopped == "ca"


@pytest.mark.parametrize(
    "writing", [Writing(tokens=60, temperature=0), Writing(tokens=60, seed=3, top_k=3), Writing(tokens=60, top_p=0.8)]
)
def test_the_same_seed_writes_the_same_and_beyond_the_context(writing: Writing) -> None:
    task, _ = studied()
    net = model()
    first, second = ("".join(task.write(net, PREPROCESS, "abcabcabcabcabc", writing)) for _ in range(2))
    assert first == second
    assert len(first) == 60


def test_few_are_chosen_from() -> None:
    logits = torch.tensor([9.0, 9.0, 9.0, 9.0, 9.0, 0.1, 3.0, 2.0, 2.9, 0.0])
    draws = torch.Generator().manual_seed(0)

    def seen(writing: Writing) -> set[int]:
        return {int(language.drawn(logits, writing, draws)) for _ in range(300)}

    assert seen(Writing(temperature=0)) == {6}
    assert seen(Writing(top_k=2)) == {6, 8}
    assert seen(Writing(top_p=0.5)) == {6, 8}
    assert seen(Writing(top_p=1e-6)) == {6}
    assert seen(Writing(temperature=5.0)) == {5, 6, 7, 8, 9}, "never what fills up, is unknown, begins or ends"


def test_classes_are_refused() -> None:
    with pytest.raises(Problem, match="running text"):
        language.build(Spec(SPEC.input, Category(("a", "b"))), language.Config())


def test_what_stands_before_every_text_is_not_forgotten() -> None:
    seen = list(range(10, 30))
    assert language.latest([2, *seen], 8, [2]) == [2, *seen[-7:]]
    assert language.latest(seen, 8, []) == seen[-8:]
    assert language.latest([2, 5], 8, [2]) == [2, 5]
    assert language.latest([2, *seen], 1, [2]) == [2, 29], "one token of the text is there at least"


def test_next_to_no_temperature_is_the_likeliest() -> None:
    logits = torch.tensor([9.0, 9.0, 9.0, 9.0, 9.0, 0.1, 3.0, 2.0, 2.9, 0.0])
    draws = torch.Generator().manual_seed(0)
    for temperature in (1e-300, 1e-45, 1e-9):
        assert int(language.drawn(logits, Writing(temperature=temperature), draws)) == 6
    assert int(language.drawn(logits, Writing(temperature=1e300), draws)) >= 5
