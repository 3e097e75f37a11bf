"""Writing token by token beside all answers that there are."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from deepen.data.tokenizer import END
from deepen.spec import BEGIN
from deepen.tasks import search

VOCABULARY, LONGEST = 8, 4


class Lottery:
    """Logits that depend on the text and on all that was written, at random."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.steps = 0

    def read(self, input: Tensor) -> dict[str, Tensor]:
        return {"text": input[:, 0]}

    def begin(self, memory: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"told": memory["text"].new_zeros(len(memory["text"]), 1, 0)}

    def go_on(
        self, token: Tensor, memory: dict[str, Tensor], state: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        self.steps += 1
        told = torch.cat([state["told"], token.unsqueeze(2)], 2)
        return torch.stack(
            [
                torch.stack([self.logits(int(text), row.tolist()) for row in rows])
                for text, rows in zip(memory["text"], told, strict=True)
            ]
        ), {"told": told}

    def logits(self, text: int, told: list[int]) -> Tensor:
        draws = torch.Generator().manual_seed(hash((self.seed, text, *told)) % 2**40)
        return 2 * torch.randn(VOCABULARY, generator=draws)


def chances(model: Lottery, text: int, answer: tuple[int, ...]) -> float:
    told, total = [BEGIN], 0.0
    for token in answer:
        logits = model.logits(text, told)
        logits[list(search.NEVER)] = -torch.inf
        total += float(logits.log_softmax(0)[token])
        told.append(token)
    return total


def every_answer() -> list[tuple[int, ...]]:
    words = [token for token in range(VOCABULARY) if token not in (*search.NEVER, END)]
    ended = [(*rest, END) for n in range(LONGEST) for rest in itertools.product(words, repeat=n)]
    return ended + list(itertools.product(words, repeat=LONGEST))


TEXTS = torch.tensor([[5, 6], [6, 0], [7, 7], [8, 8]])


def room(most: int) -> Tensor:
    return torch.full((len(TEXTS),), most)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_beam_that_holds_everything_finds_the_best_answer(penalty: float) -> None:
    model = Lottery(1)
    found = search.write(model, TEXTS, beam=200, penalty=penalty, room=room(LONGEST))
    for text, answer in zip(TEXTS[:, 0].tolist(), found, strict=True):
        best = max(every_answer(), key=lambda one: chances(model, text, one) / ((5 + len(one)) / 6) ** penalty)
        assert answer == [token for token in best if token != END]


def test_one_in_sight_is_always_the_likeliest_next_one() -> None:
    model = Lottery(2)
    for text, answer in zip(
        TEXTS[:, 0].tolist(), search.write(model, TEXTS, beam=1, penalty=1, room=room(9)), strict=True
    ):
        told = [BEGIN]
        for _ in range(9):
            logits = model.logits(text, told)
            logits[list(search.NEVER)] = -torch.inf
            told.append(int(logits.argmax()))
            if told[-1] == END:
                break
        assert answer == [token for token in told[1:] if token != END]


@pytest.mark.parametrize("beam", [1, 2, 3])
def test_each_text_is_answered_as_it_is_alone(beam: int) -> None:
    together = search.write(Lottery(3), TEXTS, beam=beam, penalty=0.6, room=room(6))
    alone = [search.write(Lottery(3), row[None], beam=beam, penalty=0.6, room=room(6)[:1])[0] for row in TEXTS]
    assert together == alone


def by_hand(model: Lottery, text: int, beam: int, penalty: float, most: int) -> list[int]:
    """One text, one answer after the other, as fairseq searches (Ott et al., 2019): of twice as many candidates as are kept in
    sight, those of the first half that have ended are answers."""
    sight, ended = [((), 0.0)], []
    for length in range(1, most + 1):
        found = []
        for told, chance in sight:
            logits = model.logits(text, [BEGIN, *told])
            logits[list(search.NEVER)] = -torch.inf
            found += [((*told, token), chance + float(each)) for token, each in enumerate(logits.log_softmax(0))]
        found = sorted(found, key=lambda one: -one[1])[: 2 * beam]
        done = [one for one in found[:beam] if one[0][-1] == END or length == most]
        ended += [(chance / ((5 + length) / 6) ** penalty, told) for told, chance in done]
        if len(ended) >= beam:
            break
        sight = [one for one in found if one[0][-1] != END][:beam]
    return [token for token in max(ended)[1] if token != END]


@pytest.mark.parametrize("beam", [1, 2, 3, 5])
@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
def test_it_finds_what_is_found_by_hand(beam: int, penalty: float) -> None:
    most = torch.tensor([3, 5, 6, 2])
    for seed in range(4):
        model = Lottery(seed)
        found = search.write(model, TEXTS, beam=beam, penalty=penalty, room=most)
        expected = [
            by_hand(model, text, beam, penalty, room)
            for text, room in zip(TEXTS[:, 0].tolist(), most.tolist(), strict=True)
        ]
        assert found == expected


def test_more_in_sight_are_never_less_likely_here() -> None:
    model = Lottery(4)
    likely = []
    for beam in (1, 4, 100):
        found = search.write(model, TEXTS, beam=beam, penalty=0, room=room(LONGEST))
        ended = [(*answer, END)[:LONGEST] for answer in found]
        likely.append(sum(chances(model, text, one) for text, one in zip(TEXTS[:, 0].tolist(), ended, strict=True)))
    assert likely[0] <= likely[1] <= likely[2]


def test_nothing_is_computed_when_all_are_done() -> None:
    class Brief(Lottery):
        def logits(self, text: int, told: list[int]) -> Tensor:
            logits = torch.zeros(VOCABULARY)
            logits[END if len(told) > 2 else 6] = 9
            return logits

    model = Brief(0)
    assert search.write(model, TEXTS, beam=1, penalty=1, room=room(50)) == [[6, 6]] * 4
    assert model.steps == 3


def test_an_answer_that_never_ends_is_cut() -> None:
    class Endless(Lottery):
        def logits(self, text: int, told: list[int]) -> Tensor:
            logits = torch.zeros(VOCABULARY)
            logits[END] = -99
            return logits

    most = torch.tensor([4, 3, 1, 4])
    assert [len(answer) for answer in search.write(Endless(0), TEXTS, beam=2, penalty=1, room=most)] == [4, 3, 1, 4]
