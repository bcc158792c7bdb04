"""Translation: a text cut into sentences, the most probable translations of each, put together again."""

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from puna.decode.beam import Beams, BeamSearch, Hypothesis
from puna.errors import InputError, shown
from puna.llama.model import Llama
from puna.rank.forest import score_forest
from puna.tasks.translate_prompt import LEADS, TranslationPrompts, check_languages, language_of
from puna.tokens.sentences import sentences
from puna.tokens.tokenizer import Tokenizer

# The most probable is the best then, and the search is over when nothing open can pass it; Wu et al. 2016 found 0.6 to
# 0.7 best, which took three times the steps here, for then a long text may still win.
ALPHA = 0.0
WEIGHT = 1.0  # of the other direction, where the two are weighed: both are the same model's
_ROOM, _STRETCH = 16, 1.5  # a translation may have so many tokens, and so many for each byte of its sentence


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to translate; raises InputError for values that mean nothing.

    n_best: how many translations. beams, alpha: as in `puna.decode.beam.Beams`. back: weight λ of the other direction's
    log-probability in the score, log P(t|s) + λ log P(s|t), each divided as `alpha` says; None leaves it out.
    """

    n_best: int = 1
    beams: int = 4
    alpha: float = ALPHA
    back: float | None = None

    def __post_init__(self) -> None:
        Beams(self.beams, self.n_best, self.alpha)
        if self.back is not None and not 0 <= self.back < math.inf:
            raise InputError("E-TRANSLATE-WEIGHT", value=self.back)

    @property
    def search(self) -> Beams:
        """How to search for candidates: as many as there are beams where they are weighed once more."""
        wanted = max(self.n_best, self.beams) if self.back is not None else self.n_best
        # One more where there are several, for those that differ in their tokens only; no text has an empty translation.
        return Beams(self.beams, wanted + (wanted > 1), self.alpha, max_tokens=1 << 20, min_tokens=1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A translation: its log-probability given the source in nats, its end included, and its score.

    back: the log-probability of the source given it, where that was asked for. complete: false where it had not ended at
    the greatest length; the log-probability is then that of a translation which begins so.
    """

    text: str
    log_probability: float
    score: float
    back: float | None = None
    complete: bool = True

    @property
    def probability(self) -> float:
        """The model's probability of just this translation."""
        return math.exp(self.log_probability)

    def to_dict(self) -> dict[str, Any]:
        """Give the fields."""
        return {**asdict(self), "probability": self.probability}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, where it stands in the text (code points), and its translations, best first."""

    source: str
    start: int
    end: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Translation:
    """A text's translations, best first: those of its sentences put together. A blank text has itself.

    The sentences are translated each for itself, so their log-probabilities add up, and so do scores.
    """

    source: str
    source_language: str
    target_language: str
    candidates: tuple[Candidate, ...]
    sentences: tuple[Sentence, ...]
    model: str

    @property
    def text(self) -> str:
        """The best translation."""
        return self.candidates[0].text

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as `--json` prints them."""
        return {
            "source": self.source,
            "from": self.source_language,
            "to": self.target_language,
            "text": self.text,
            "candidates": [each.to_dict() for each in self.candidates],
            "sentences": [
                {**asdict(each), "candidates": [candidate.to_dict() for candidate in each.candidates]}
                for each in self.sentences
            ],
            "model": self.model,
        }


class Translator:
    """A model with its tokenizer. Not for use by several threads at once.

    `examples`: whether worked examples stand before a text, which a model that was trained to translate does without.
    """

    def __init__(self, model: Llama, tokenizer: Tokenizer, name: str, *, examples: bool = True) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self._examples = examples
        self._searches: dict[str, tuple[TranslationPrompts, BeamSearch]] = {}

    def translate(
        self,
        texts: Iterable[str],
        to: str,
        *,
        source: str | None = None,
        wanted: Wanted | None = None,
        batch: int = 8,
    ) -> Iterator[Translation]:
        """Translate texts into "zh" or "en", in their order, `batch` texts side by side.

        `source`: the language they are in; None tells it by their script. Raises InputError for a language that is not
        known, for a text in the target's own, and for a sentence too long for the model: nothing is cut.
        """
        language = check_languages(source, to)
        wanted = wanted or Wanted()
        prompts, search = self._direction(language, to)
        every = iter(texts)
        while group := list(islice(every, batch)):
            for text in group if source is None else ():
                if language_of(text) == to:
                    raise InputError("E-TRANSLATE-SAME-TEXT", language=to, text=shown(text, 40))
            places = [sentences(text) for text in group]
            wordings = [text[start:end] for text, found in zip(group, places, strict=True) for start, end in found]
            known = dict(zip(wordings, self._sentences(prompts, search, wordings, wanted), strict=True))
            for text, found in zip(group, places, strict=True):
                parts = tuple(Sentence(text[a:b], a, b, known[text[a:b]]) for a, b in found)
                whole = _together(text, parts, to, wanted.n_best)
                yield Translation(text, language, to, whole, parts, self.name)

    def _direction(self, source: str, target: str) -> tuple[TranslationPrompts, BeamSearch]:
        if target not in self._searches:
            prompts = TranslationPrompts(self.tokenizer, source, target, self._examples)
            search = BeamSearch(self.model, prompts.prefix, end=prompts.end, allowed=self._allowed)
            self._searches[target] = prompts, search
        return self._searches[target]

    @cached_property
    def _allowed(self) -> Tensor:
        """Every token but control tokens and those with a line's end, which would go on to another example."""
        tokenizer = self.tokenizer
        allowed = torch.zeros(self.model.config.vocab_size, dtype=torch.bool)
        allowed[: tokenizer.vocab_size] = torch.tensor(
            [b"\n" not in tokenizer.token_bytes(token) for token in range(tokenizer.vocab_size)]
        )
        allowed[list(tokenizer.special_ids)] = False
        return allowed

    def _sentences(
        self, prompts: TranslationPrompts, search: BeamSearch, texts: Sequence[str], wanted: Wanted
    ) -> list[tuple[Candidate, ...]]:
        """Give the translations of each sentence; what has no letter or digit stays as it is."""
        found: dict[str, tuple[Candidate, ...]] = {
            text: (Candidate(text, 0.0, 0.0, 0.0 if wanted.back is not None else None),)
            for text in texts
            if not any(map(str.isalnum, text))
        }
        waiting = [text for text in dict.fromkeys(texts) if text not in found]
        asked = [prompts.asked(text) for text in waiting]
        limits = [_ROOM + round(_STRETCH * len(text.encode())) for text in waiting]
        for text, tokens, limit in zip(waiting, asked, limits, strict=True):
            if len(tokens) + limit > search.room:
                raise InputError(
                    "E-TRANSLATE-LONG", tokens=len(tokens), limit=search.room - limit, text=shown(text, 40)
                )
        for text, written in zip(waiting, search(asked, wanted.search, limits), strict=True):
            every = self._texts(written.hypotheses)
            if wanted.back is not None:
                every = self._weighed(prompts.back(), text, every, wanted)
            found[text] = tuple(every[: wanted.n_best])
        return [found[text] for text in texts]

    def _texts(self, hypotheses: Sequence[Hypothesis]) -> list[Candidate]:
        """Give the texts, each once, with the most probable of its spellings in tokens; empty ones only if all are."""
        found: dict[str, Candidate] = {}
        for each in hypotheses:
            text = self.tokenizer.decode(each.tokens).strip()
            found.setdefault(text, Candidate(text, each.log_probability, each.score, complete=each.ended))
        return [each for each in found.values() if each.text] or list(found.values())

    def _weighed(
        self, prompts: TranslationPrompts, source: str, every: Sequence[Candidate], wanted: Wanted
    ) -> list[Candidate]:
        """Score once more, by both directions."""
        (answer,) = prompts.answers([source])
        asked = [prompts.prefix + prompts.asked(each.text) for each in every]
        length = max(map(len, asked)) + len(answer)
        if length > self.model.config.context:
            raise InputError(
                "E-TRANSLATE-LONG", tokens=length, limit=self.model.config.context, text=shown(source, 40)
            )
        back = {}
        for index, (values,) in score_forest(self.model, asked, [[answer]] * len(asked), end=prompts.end):
            back[index] = float(values.double().sum())
        settings, weight = wanted.search, wanted.back or 0.0
        weighed = [
            Candidate(
                each.text,
                each.log_probability,
                each.score + weight * settings.score(back[n], len(answer) + 1),
                back[n],
                each.complete,
            )
            for n, each in enumerate(every)
        ]
        return sorted(weighed, key=lambda each: (not each.complete, -each.score))


def _together(text: str, parts: Sequence[Sentence], target: str, most: int) -> tuple[Candidate, ...]:
    """Put the translations of the sentences together: the `most` best of all ways to choose one of each.

    What stands between sentences stays where it has a line's end; else the target's own spacing stands there.
    """
    if not parts:
        return (Candidate(text, 0.0, 0.0),)
    found = [Candidate(text[: parts[0].start], 0.0, 0.0)]
    for n, part in enumerate(parts):
        gap = text[part.end : parts[n + 1].start if n + 1 < len(parts) else len(text)]
        if "\n" not in gap and n + 1 < len(parts):
            gap = LEADS[target]
        ways = (_joined(before, after, gap) for before in found for after in part.candidates)
        found = heapq.nlargest(most, ways, key=lambda each: (each.complete, each.score))
    return tuple(found)


def _joined(before: Candidate, after: Candidate, gap: str) -> Candidate:
    back = None if after.back is None else (before.back or 0.0) + after.back
    return Candidate(
        before.text + after.text + gap,
        before.log_probability + after.log_probability,
        before.score + after.score,
        back,
        before.complete and after.complete,
    )
