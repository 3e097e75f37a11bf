"""A folder as repositories of the hub are laid out: a README that says what is what, and a table for each split."""

from __future__ import annotations

import json
import random
from pathlib import Path

SETTINGS = {"fit.batch_size": 16}
NEEDS = {"regress": lambda folder: {"data.target": "stars"}}
README = """---
license: mit
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: validation
    path: data/validation.jsonl
  - split: test
    path: data/test.jsonl
dataset_info:
  features:
  - name: review
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': negative
          '1': positive
---
# Reviews
"""
GOOD, BAD = ("a fine and moving film", "great fun"), ("a dull and empty film", "no fun at all")


def rows(count: int, seed: int) -> list[str]:
    draws = random.Random(seed)
    found = []
    for number in range(count):
        good = draws.random() < 0.5
        words = " ".join(draws.choices(("the", "film", "was", "and", "then", "you", "see"), k=draws.randint(3, 12)))
        review = f"{words}, {draws.choice(GOOD if good else BAD)} {seed}-{number}"
        found.append(json.dumps({"review": review, "label": int(good), "stars": 3.5 + good + draws.random()}))
    return found


def make(folder: Path) -> str:
    data = folder / "reviews" / "data"
    data.mkdir(parents=True)
    (folder / "reviews" / "README.md").write_text(README, encoding="utf-8")
    for number, name in enumerate(("train-0", "train-1", "validation", "test")):
        (data / f"{name}.jsonl").write_text("\n".join(rows(40, number)) + "\n", encoding="utf-8")
    return str(folder / "reviews")


def _cut(source: str) -> None:
    with (Path(source) / "data/test.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"review": "cut sho')


def _without(source: str) -> None:
    readme = Path(source) / "README.md"
    readme.write_text(README.replace("data/train-*", "data/learn-*"), encoding="utf-8")


BREAKS = {
    "a row that was cut off": (_cut, "line 41"),
    "no file to train on": (_without, "no file to train on"),
    "a README whose head is no YAML": (
        lambda source: (Path(source) / "README.md").write_text("---\na: [\n---\n", encoding="utf-8"),
        "no YAML",
    ),
}
