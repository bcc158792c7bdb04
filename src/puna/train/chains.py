"""Plain text to learn token by token: documents cut into chains, some held back."""

import codecs
import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from puna.errors import InputError
from puna.tasks.rows import objects, opened
from puna.tokens.tokenizer import Tokenizer
from puna.train.loop import summary
from puna.train.recipe import Recipe
from puna.train.student import Student
from puna.train.trees import Passage, grow, parts

SHARE = 0.02  # of the tokens that are held back
_MANY = 50  # documents; from so many on whole ones are held back, else the ends of all
_PIECE = 1 << 16  # characters that are encoded at a time, and on to a line's end


def documents(paths: Iterable[Path]) -> Iterator[str]:
    """Give the texts of files, plain or gzipped: each file is one, and each "text" or "context" of JSON Lines.

    Raises InputError, naming file and line, for what cannot be read.
    """
    for path in paths:
        with opened(path) as (lines, _):
            if path.name.removesuffix(".gz").endswith(".jsonl"):
                for row in objects(path, lines):
                    yield row.text("context" if "context" in row and "text" not in row else "text", blank=True)
                continue
            try:
                yield codecs.decode(lines.read(), "utf-8-sig")
            except UnicodeError as error:
                line = error.object.count(b"\n", 0, error.start) + 1  # type: ignore[attr-defined]
                raise InputError("E-ROWS-UNICODE", path=path, line=line) from None


def chains(text: str, tokenizer: Tokenizer, length: int) -> list[Passage]:
    """Cut a document into chains of `length` tokens. Each begins with the last token of the one before it, or BOS.

    The first token of a document has nothing to follow from where the model has no BOS.
    """
    tokens = tokenizer.encode_prompt("")
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin + _PIECE)
        end = len(text) if end < 0 else end
        tokens += tokenizer.encode(text[begin:end], start=not begin)
        begin = end
    every = (tokens[start : start + length] for start in range(0, max(len(tokens) - 1, 0), max(length - 1, 1)))
    return [Passage(each, 0, []) for each in every if len(each) > 1]


def hold_back_chains(
    texts: Sequence[Sequence[Passage]], seed: int, share: float
) -> tuple[list[Passage], list[Passage]]:
    """Part the chains of documents in those to learn from and those held back."""
    if len(texts) < _MANY:
        ends = [min(math.ceil(share * len(each)), len(each) - 1) if share else 0 for each in texts]
        learned = [chain for each, end in zip(texts, ends, strict=True) for chain in each[: len(each) - end]]
        return learned, [chain for each, end in zip(texts, ends, strict=True) for chain in each[len(each) - end :]]
    wanted = share * sum(len(chain) for each in texts for chain in each)
    order = sorted(range(len(texts)), key=lambda n: hashlib.sha256(f"{seed} {n}".encode()).digest())
    held, count = set[int](), 0
    for number in order:
        if count >= wanted:
            break
        held.add(number)
        count += sum(map(len, texts[number]))
    learned = [chain for number, each in enumerate(texts) if number not in held for chain in each]
    return learned, [chain for number in sorted(held) for chain in texts[number]]


@dataclass(frozen=True)
class TextExam:
    """Text held back: nats a token, and bits a byte of the text."""

    passages: Sequence[Passage]
    tokenizer: Tokenizer
    recipe: Recipe

    @torch.no_grad()
    def __call__(self, student: Student) -> dict[str, float]:
        """Read."""
        trees = [grow(passage) for passage in self.passages]
        total = 0.0
        for cut in parts([len(tree.tokens) for tree in trees], self.recipe.tokens):
            total += float(student([trees[index] for index in cut])["text"])
        student.network.changed()
        tokens = sum(len(passage.tokens) - 1 for passage in self.passages)
        size = sum(
            len(self.tokenizer.token_bytes(token)) for passage in self.passages for token in passage.tokens[1:]
        )
        sums = {**dict.fromkeys(self.recipe.weights, 0.0), "text": total}
        found = summary(sums, trees, self.recipe)
        return {**found, "bits_per_byte": total / math.log(2) / max(size, 1), "tokens": tokens}
