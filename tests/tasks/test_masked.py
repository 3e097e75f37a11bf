from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepen.data import tokenizer
from deepen.data.ragged import ragged
from deepen.data.sentences import TextPreprocess
from deepen.data.stream import Windows
from deepen.data.tokenizer import HIDDEN, SPECIAL
from deepen.errors import Misuse, Problem
from deepen.models import transformer
from deepen.spec import PAD, Category, Image, Spec, Text, Tokens
from deepen.tasks import masked
from deepen.tasks.masked import fixed

TEXTS = ["the cat sat on the mat", "a dog ran", "the dog sat on a cat and the cat ran", "mat"] * 5
FITTED = tokenizer.fit("words", TEXTS, 100)
SPEC = Spec(Text(10, FITTED.vocabulary), Category(("a", "b")))
PREPROCESS = TextPreprocess(FITTED, 10)
ROWS = ragged(PREPROCESS.tokens(TEXTS), {"target": torch.zeros(len(TEXTS), dtype=torch.int64)})


def studied(**settings: float) -> masked.Masked:
    task = masked.build(SPEC, masked.Config(**settings))
    task.study(ROWS, PREPROCESS)
    return task


def model() -> transformer.Encoder:
    torch.manual_seed(0)
    return transformer.build(studied().spec, transformer.Config(layers=1, heads=2, width=16)).eval()


class Whole(nn.Module):
    """The same model, answering for every place."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input: Tensor) -> Tensor:
        answer: Tensor = self.inner(input)
        return answer


def test_the_model_is_built_for_hidden_tokens_whatever_the_data_answers() -> None:
    assert studied().spec == Spec(SPEC.input, Tokens(FITTED.vocabulary, hidden=True))


def test_shares_are_those_of_bert() -> None:
    task = masked.build(Spec(Text(200, 1000), Tokens(1000)), masked.Config())
    torch.manual_seed(0)
    truth = torch.randint(len(SPECIAL), 1000, (500, 200))
    asked, shown = task.masking(truth, torch.rand(2, 500, 200), torch.randint(len(SPECIAL), 1000, truth.shape))
    assert asked.sum(1).eq(30).all()
    assert torch.equal(shown[~asked], truth[~asked])
    hidden, same = shown[asked] == HIDDEN, shown[asked] == truth[asked]
    assert hidden.float().mean() == pytest.approx(0.8, abs=0.01)
    assert same.float().mean() == pytest.approx(0.1, abs=0.01)
    asked_often = asked.sum(0).float() / 500
    assert asked_often.min() > 0.08, "every place is asked for as often"
    assert asked_often.max() < 0.22


def test_the_draws_of_scores_are_even_and_of_each_text_its_own() -> None:
    truth = torch.randint(len(SPECIAL), 1000, (300, 50), generator=torch.Generator().manual_seed(0))
    draws, others = fixed(truth, 1000)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert draws.mean() == pytest.approx(0.5, abs=0.01)
    assert draws.std() == pytest.approx(12**-0.5, abs=0.01)
    assert torch.corrcoef(draws.flatten(1))[0, 1].abs() < 0.02
    assert torch.corrcoef(draws[0].T)[0, 1:].abs().mean() < 0.1
    assert others.min() == len(SPECIAL)
    assert others.max() == 999
    again, _ = fixed(torch.cat([truth[5:7], torch.full((2, 9), PAD)], dim=1), 1000)
    assert torch.equal(again[:, :, :50], draws[:, 5:7])


def test_only_what_can_be_asked_for_is() -> None:
    task = studied(share=0.9)
    truth = torch.tensor([[2, 5, 6, 7, 3, PAD], [1, 5, 1, PAD, PAD, PAD], [1, 1, PAD, PAD, PAD, PAD]])
    asked, shown = task.masking(truth, torch.rand(2, *truth.shape), torch.full_like(truth, 8))
    assert asked.sum(1).tolist() == [3, 1, 0]
    assert truth[asked].min() >= len(SPECIAL)
    assert torch.equal(shown[truth < len(SPECIAL)], truth[truth < len(SPECIAL)])


def test_a_text_of_one_word_is_asked_for_it() -> None:
    asked, _ = studied().masking(torch.tensor([[7, PAD]]), torch.rand(2, 1, 2), torch.full((1, 2), 8))
    assert asked.tolist() == [[True, False]]


def test_loss_is_that_of_the_hidden_places_alone() -> None:
    task, net, batch = studied(share=0.4), model(), ROWS.between(0, 12)
    torch.manual_seed(3)
    loss, numbers = task.loss(net, batch)
    torch.manual_seed(3)
    truth = batch["input"]
    draws = torch.rand(2, *truth.shape)
    asked, shown = task.masking(truth, draws, torch.randint(len(SPECIAL), FITTED.vocabulary, truth.shape))
    logits = net(shown)
    each = nn.functional.cross_entropy(logits.transpose(1, 2), truth, reduction="none")
    assert loss.item() == pytest.approx(each[asked].mean().item(), rel=1e-5)
    assert numbers["accuracy"].item() == pytest.approx(float((logits.argmax(2) == truth)[asked].float().mean()))
    torch.manual_seed(3)
    assert task.loss(Whole(net), batch)[0].item() == pytest.approx(loss.item(), rel=1e-5), (
        "answers for all places serve too"
    )
    torch.manual_seed(4)
    assert task.loss(net, batch)[0].item() != loss.item(), "places are drawn anew"


def test_pieces_of_a_batch_weigh_as_much_as_what_they_hide() -> None:
    """What accumulation relies on: texts differ in length."""
    task, batch = studied(share=0.4), ROWS.between(0, 12)
    asked, _ = task.masking(batch["input"], *fixed(batch["input"], FITTED.vocabulary))
    for row, many in enumerate(asked.sum(1).tolist()):
        assert task.counted({"input": batch["input"][row : row + 1]}) == many
    assert task.counted(batch) == asked.sum()


def test_a_batch_without_anything_to_ask_for_teaches_nothing() -> None:
    loss, _ = studied().loss(model(), {"input": torch.ones(2, 3, dtype=torch.int64)})
    assert loss.item() == 0


def test_scores_do_not_depend_on_how_texts_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    task, net = studied(), model()
    with torch.no_grad():
        together = task.score(net, ROWS.between(0, 20))
        parts = [task.score(net, ROWS.between(start, start + 3)) for start in range(0, 20, 3)]
        monkeypatch.setattr(masked, "LOGITS", 1)
        small = task.score(net, ROWS.between(0, 20))
    for name, rows in together.items():
        assert torch.allclose(rows, torch.cat([part[name] for part in parts]), atol=1e-5)
        assert torch.allclose(rows, small[name], atol=1e-5)
    assert together["asked"].tolist() == [max(1, round(0.15 * len(text.split()))) for text in TEXTS]
    found = task.measure(together)
    assert found["loss"] == pytest.approx(float(together["nats"].sum() / together["asked"].sum()))
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))


def test_the_baseline_names_the_commonest() -> None:
    task = studied(share=0.99)
    with torch.no_grad():
        rows = task.score(model(), ROWS.between(0, 20))
    words = " ".join(TEXTS).split()
    assert task.baseline(rows)["accuracy"] == pytest.approx(words.count("the") / len(words))
    shares = torch.tensor([words.count(word) / len(words) for word in set(words)])
    entropy = float(-(shares * shares.log()).sum())
    assert task.baseline(rows)["loss"] == pytest.approx(entropy, rel=0.02)


def test_running_text_is_asked_for_what_stands_there() -> None:
    flat = torch.from_numpy(FITTED.encode([" ".join(TEXTS)])[0])
    task = masked.build(Spec(Text(8, FITTED.vocabulary), Tokens(FITTED.vocabulary)), masked.Config())
    windows = Windows(flat, 8)
    task.study(windows, PREPROCESS)
    rows = task.score(Knows(), windows.between(0, len(windows)))
    assert rows["asked"].sum() > 0


class Knows(nn.Module):
    """Sees that a cat sits: whatever is hidden is `sat`, else `cat`."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(5.0))

    def forward(self, input: Tensor) -> Tensor:
        sat, cat = FITTED.encode(["sat cat"])[0].tolist()
        logits = torch.zeros(*input.shape, FITTED.vocabulary)
        logits[..., sat], logits[..., cat], logits[..., 1] = 2.0, 1.0, 9.0
        return logits * self.scale


@pytest.mark.parametrize("mark", ["<mask>", "[MASK]"])
def test_what_a_person_hides_is_found(mark: str) -> None:
    texts = [f"the cat {mark} on", "a dog", f"{mark} the {mark}"]
    one, none, two = studied().read(Knows(), PREPROCESS, texts)
    assert one["text"] == "the cat sat on"
    assert one["hidden"][0]["token"] == "sat"
    assert [name for name, _ in one["hidden"][0]["top"][:2]] == ["sat", "cat"]
    assert 0.9 < one["hidden"][0]["probability"] < 1, "what is unknown is never named"
    assert none == {"text": "a dog", "hidden": []}
    assert two["text"] == "sat the sat"


@pytest.mark.parametrize("kind", tokenizer.KINDS)
def test_a_hidden_place_stands_where_the_words_around_it_leave_it(kind: str) -> None:
    preprocess = TextPreprocess(tokenizer.fit(kind, TEXTS, 300), 30)
    tokens = masked.tokens_of(preprocess, "the <mask> sat")
    whole = preprocess.tokens(["the dog sat"])[0].tolist()
    place = tokens.index(HIDDEN)
    assert tokens[:place] == whole[:place]
    behind = len(tokens) - place - 1
    assert tokens[place + 1 :] == whole[len(whole) - behind :]


def test_long_texts_end_where_the_model_does_and_other_things_are_no_texts() -> None:
    assert len(masked.tokens_of(PREPROCESS, "cat " * 50)) == 10
    assert masked.tokens_of(PREPROCESS, "") == [1]
    with pytest.raises(Problem, match="expected a text"):
        masked.tokens_of(PREPROCESS, 3)


def test_pictures_and_shares_out_of_range_are_refused() -> None:
    with pytest.raises(Problem, match="no texts"):
        masked.build(Spec(Image(1, 8, 8), SPEC.output), masked.Config())
    with pytest.raises(Misuse, match=r"task\.share"):
        masked.build(SPEC, masked.Config(share=1.0))
    assert not masked.natural(SPEC)


def test_texts_without_an_answer_are_enough(tmp_path: Path, call: Any) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("text\n" + "".join(f"the cat {n} sat on the mat\n" for n in range(60)), encoding="utf-8")
    words = ("train", str(source), "--runs", str(tmp_path / "runs"))
    done = call(*words)
    assert done.code == 1
    assert "nothing to be answered beside its texts: name what to learn from them with --as masked" in done.err
    done = call(*words, "target=text")
    assert done.code == 2
    assert "has only the column 'text', its texts" in done.err
    small = ("model.layers=1", "model.width=8", "model.heads=2", "epochs=1", "plan=fp32")
    done = call(*words, "--as", "masked", *small, "--json")
    assert done.code == 0, done.err
    done = call("evaluate", done.json["run"], "--json")
    assert done.code == 0, done.err
    assert done.json["samples"] == 12


def test_who_answers_for_a_whole_text_is_told_who_fills_in(call: Any, tmp_path: Path) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("text\n" + "".join(f"the cat {n} sat on the mat\n" for n in range(60)), encoding="utf-8")
    done = call("train", str(source), "--as", "masked", "--model", "bag", "--runs", str(tmp_path / "runs"))
    assert done.code == 1
    assert "choose --model transformer or bert" in done.err


def test_of_equal_draws_the_first_is_taken_whatever_fills_a_text_up() -> None:
    task = masked.build(Spec(Text(200, 50), Category(("a", "b"))), masked.Config())
    text = torch.randint(len(SPECIAL), 50, (1, 60))
    for filled in (60, 61, 150, 200):
        truth = torch.cat([text, torch.zeros(1, filled - 60, dtype=torch.int64)], dim=1)
        asked, _ = task.masking(truth, torch.full((2, 1, filled), 0.5), truth)
        assert asked[0].nonzero()[:, 0].tolist() == list(range(9))
