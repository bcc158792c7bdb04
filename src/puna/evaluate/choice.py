"""Multiple choice, scored as lm-evaluation-harness does it: the candidate that the model finds most probable.

Nothing is written and no end token is scored. Prompts and candidates of many rows are scored in packed forwards.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from puna.evaluate.choice_rows import Asked, ChoiceRow

if TYPE_CHECKING:
    from puna.answer.reader import Reader
    from puna.tokens.tokenizer import Tokenizer

_CHUNK = 64  # rows that are packed together: nearly no empty rows, and a stopped run has the rows before


@dataclass(frozen=True, slots=True)
class Choice:
    """A scored row. All are of its candidates, in their order, and empty where the model's context is too short.

    log_probabilities: nats, of all tokens. priors: the same without context and question, None where that is the same
    or was not wanted. tokens: how many were scored.
    """

    row: ChoiceRow
    log_probabilities: tuple[float, ...]
    priors: tuple[float, ...] | None
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChoiceSummary:
    """Shares, 0 to 1, of the `n` rows in which the right candidate had the highest score; the first of equals counts.

    accuracy: by log-probability (the harness's acc). accuracy_per_byte: by log-probability over UTF-8 bytes (acc_bytes,
    and acc_norm where all is ASCII). accuracy_per_token: over tokens. accuracy_prior_corrected: by log-probability minus
    prior; None where a row has no prior. failed: rows too long for the model; they count as wrong.
    """

    n: int
    failed: int
    accuracy: float
    accuracy_per_byte: float
    accuracy_per_token: float
    accuracy_prior_corrected: float | None
    questions_per_second: float


def choose(
    reader: "Reader",
    rows: Sequence[ChoiceRow],
    *,
    priors: bool = True,
    report: Callable[[float], None] | None = None,
) -> Iterator[Choice]:
    """Score the rows, in their order, some dozens at a time; `report` gets how many are done, with parts of rows."""
    from puna.rank.forest import score_forest

    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        pairs = [(row.asked(), row.unasked() if priors else None) for row in chunk]
        every = {asked: encode(reader.tokenizer, *asked) for pair in pairs for asked in pair if asked}
        fitting = [asked for asked, tokens in every.items() if _length(*tokens) <= reader.model.config.context]
        scores: dict[Asked, tuple[float, ...]] = {}
        prompts, candidates = [every[asked][0] for asked in fitting], [every[asked][1] for asked in fitting]
        for index, values in score_forest(reader.plain.model, prompts, candidates, end=None):
            scores[fitting[index]] = tuple(float(value.sum()) for value in values)
            if report:
                report(start + len(chunk) * len(scores) / len(fitting))
        for row, (asked, unasked) in zip(chunk, pairs, strict=True):
            tokens = tuple(map(len, every[asked][1]))
            yield Choice(row, scores.get(asked, ()), scores.get(unasked, ()) if unasked else None, tokens)


def encode(tokenizer: "Tokenizer", prompt: str, continuations: Sequence[str]) -> tuple[list[int], list[list[int]]]:
    """Give the tokens of a prompt and of what goes on from it, parted as the harness's `_encode_pair` does.

    A continuation's tokens are those of the whole text behind as many as the prompt alone has; white space at the
    prompt's end belongs to the continuation. An empty prompt is the start token: BOS, or the end token without one.
    """
    if not prompt:
        start = tokenizer.end_id if tokenizer.bos_id is None else tokenizer.bos_id
        return [start], tokenizer.encode_batch(continuations)
    bare = prompt.rstrip()
    before = tokenizer.encode_prompt(bare)
    texts = [prompt.removeprefix(bare) + continuation for continuation in continuations]
    # A tokenizer may merge all of a short continuation into the prompt's last token; it then stands for itself.
    return before, [
        tokenizer.encode_prompt(bare + text)[len(before) :] or tokenizer.encode(text, start=False) for text in texts
    ]


def summarise_choices(choices: Sequence[Choice], seconds: float) -> ChoiceSummary:
    """Give the metrics of one row or more, scored in so many seconds."""
    scored = [one for one in choices if one.log_probabilities]

    def share(score: Callable[[Choice], Sequence[float]]) -> float:
        return sum(best(score(one)) == one.row.answer_index for one in scored) / len(choices)

    return ChoiceSummary(
        n=len(choices),
        failed=len(choices) - len(scored),
        accuracy=share(lambda one: one.log_probabilities),
        accuracy_per_byte=share(lambda one: _over(one, [len(text.encode()) for text in one.row.candidates])),
        accuracy_per_token=share(lambda one: _over(one, one.tokens)),
        accuracy_prior_corrected=None
        if any(one.priors is None for one in scored)
        else share(lambda one: [a - b for a, b in zip(one.log_probabilities, one.priors or (), strict=True)]),
        questions_per_second=len(choices) / seconds,
    )


def best(scores: Sequence[float]) -> int:
    """Give the index of the highest score, the first of equals."""
    return max(range(len(scores)), key=scores.__getitem__)


def _over(one: Choice, lengths: Sequence[int]) -> list[float]:
    return [value / length for value, length in zip(one.log_probabilities, lengths, strict=True)]


def _length(prompt: list[int], candidates: list[list[int]]) -> int:
    """Positions that the longest candidate needs; its last token is not read."""
    return len(prompt) + max(map(len, candidates)) - 1
