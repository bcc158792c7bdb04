"""What is learned from: a passage read once, its questions as branches, the answers of each as a trie.

Each branch sees the passage and its own past only, as it would if it stood there alone; so a passage of five questions
costs little more than one of one.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from puna.answer.prompt import Prompts, wording_for
from puna.answer.spans import in_one_line
from puna.answer.windows import window_size, windows_of
from puna.rank.trie import build_trie
from puna.tokens.tokenizer import Tokenizer
from puna.train.rows import SpanRow

WORDS = 64  # tokens of plain text that count as much as a question


@dataclass(frozen=True, slots=True)
class Question:
    """A question's tokens, up to where the answer begins, and the candidates that follow, each with its end token.

    The first `right` candidates are right, all others wrong. `spans`: the passage's tokens [first, last] of each right
    answer, none where the passage holds none. `id`: of the row.
    """

    id: str
    tokens: list[int]
    candidates: list[list[int]]
    right: int
    spans: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Passage:
    """A text's tokens; those from `first` on are the text itself; and the questions asked about it.

    Without questions it is the text that is learned, token by token from `first` on.
    """

    tokens: list[int]
    first: int
    questions: list[Question]

    @property
    def units(self) -> float:
        """How much there is to learn: questions, or WORDS of text."""
        return len(self.questions) or (len(self.tokens) - max(self.first, 1)) / WORDS

    def __len__(self) -> int:
        """Count tokens, those of candidates as if they shared none."""
        return len(self.tokens) + sum(
            len(each.tokens) + sum(len(tokens) - 1 for tokens in each.candidates) for each in self.questions
        )


def passages(rows: Iterable[SpanRow], tokenizer: Tokenizer, context: int) -> Iterator[Passage]:
    """Group rows by text, cut long texts into the windows that a reader reads, and give each with its questions.

    A window that does not hold an answer whole gets the refusal for its answer.
    """
    grouped: dict[tuple[str, str], list[tuple[SpanRow, Prompts]]] = {}
    for row in rows:
        wording = wording_for(row.question)
        prompts = Prompts(tokenizer, wording, row.question, examples=False)
        grouped.setdefault((wording.question, row.context), []).append((row, prompts))
    for (_, text), asked in grouped.items():
        size = max(window_size(context, max(prompts.overhead for _, prompts in asked)), 1)
        for start, end in windows_of(text, tokenizer, size):
            yield _passage(text, start, end, asked)


def _passage(text: str, start: int, end: int, asked: Sequence[tuple[SpanRow, Prompts]]) -> Passage:
    questions = []
    head: list[int] = []
    first = 0
    line = in_one_line(text[start:end])
    for row, prompts in asked:
        prompt = prompts.about(text[start:end])
        if not head:
            head = prompt.tokens[: prompt.asked]
            first = next((n for n, (a, b) in enumerate(prompt.offsets) if a < b), prompt.asked)
        if prompt.tokens[: prompt.asked] != head:  # a tokenizer that joins text and question
            continue
        inside = [(a, s - start) for a, s in row.answers if start <= s and s + len(a) <= end]
        texts = list(dict.fromkeys(in_one_line(a) for a, _ in inside)) or [prompts.wording.refusal]
        spans = [prompt.covering(s, s + len(a)) for a, s in inside]
        questions.append(
            Question(
                row.id,
                prompt.tokens[prompt.asked :],
                [[*each, prompts.end] for each in prompts.answers([*texts, *_wrong(row, prompts, texts, line)])],
                len(texts),
                list(dict.fromkeys((a, b - 1) for a, b in spans if a < b)),
            )
        )
    return Passage(head, first, questions)


def _wrong(row: SpanRow, prompts: Prompts, right: Sequence[str], line: str) -> list[str]:
    """Give what competes with the right answers of a window: the row's wrong ones that stand in it, and the refusal."""
    others = dict.fromkeys(text for text in map(in_one_line, row.wrong) if text in line)
    every = [*others, prompts.wording.refusal] if row.wrong else []
    return [text for text in every if text not in right]


@dataclass(frozen=True, slots=True)
class Tree:
    """A passage as nodes, parents first.

    wanted: (node, token, candidate) for each token of each candidate: the node that predicts it. owners: the question of
    each candidate, counted in this tree. ends: each question's last node.
    """

    passage: Passage
    tokens: list[int]
    parents: list[int]
    positions: list[int]
    wanted: list[tuple[int, int, int]]
    owners: list[int]
    ends: list[int]


def grow(passage: Passage) -> Tree:
    """Lay a passage out."""
    tokens = list(passage.tokens)
    parents = list(range(-1, len(tokens) - 1))
    positions = list(range(len(tokens)))
    wanted: list[tuple[int, int, int]] = []
    owners: list[int] = []
    ends: list[int] = []
    for number, question in enumerate(passage.questions):
        start, depth = len(tokens), len(passage.tokens)
        tokens += question.tokens
        parents += [len(passage.tokens) - 1, *range(start, len(tokens) - 1)]
        positions += range(depth, depth + len(question.tokens))
        end = len(tokens) - 1
        ends.append(end)
        trie = build_trie([candidate[:-1] for candidate in question.candidates])
        base = len(tokens)
        tokens += trie.tokens
        parents += [base + parent if parent >= 0 else end for parent in trie.parents]
        positions += [positions[end] + 1 + deep for deep in trie.depths]
        for candidate, path in zip(question.candidates, trie.paths, strict=True):
            nodes = [end, *(base + node for node in path)]
            wanted += [(node, token, len(owners)) for node, token in zip(nodes, candidate, strict=True)]
            owners.append(number)
    return Tree(passage, tokens, parents, positions, wanted, owners, ends)


def steps(passages: Sequence[Passage], questions: float, seed: int, epoch: int) -> list[list[int]]:
    """Shuffle an epoch's passages into steps of at least `questions` questions; the same for the same seed and epoch."""
    order = list(range(len(passages)))
    random.Random(f"{seed} {epoch}").shuffle(order)  # noqa: S311  no secret
    found: list[list[int]] = []
    count = float(questions)
    for index in order:
        if count >= questions:
            found.append([])
            count = 0
        found[-1].append(index)
        count += passages[index].units
    return found


def parts(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Cut a step into forwards of at most `most` tokens (a larger tree is alone), in order."""
    found: list[list[int]] = []
    total = 0
    for index, size in enumerate(sizes):
        if not found or total + size > most:
            found.append([])
            total = 0
        found[-1].append(index)
        total += size
    return found
