"""The front door of the library: a model that reads texts and ranks answers."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from puna.answer.checks import check, sources_of
from puna.answer.findings import Findings
from puna.answer.mixture import log, log_sum
from puna.answer.prompt import Prompts, wording_for
from puna.answer.spans import in_one_line, spans
from puna.answer.types import Answer, Answers, Coverage, Ranking, Source
from puna.answer.windows import windows
from puna.decode.generate import Generated, generate
from puna.decode.sampling import Sampling
from puna.errors import InputError
from puna.llama.load import load as load_model
from puna.llama.model import Llama
from puna.rank.score import Reading, read, score
from puna.rank.search import search
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from puna.weights.store import resolve

WINDOW = 1024  # tokens of text read at once, less where the model's context is shorter
OVERLAP = 256  # tokens that neighbouring windows share
LONGEST = 64  # tokens of a span; what is longer is no word but a key, a picture or noise
_ROOM = 128  # tokens kept free for an answer, less in a very short context

_Progress = Callable[[int, int], None]


def load(model: str | Path | None = None) -> "Reader":
    """Load a model: a path, the name of a pulled model, or None for the default one.

    Raises PullError where the default model was not pulled yet, ModelFileError where the file cannot be used.
    Example: `puna.load().ask("Who led it?", "The walk was led by Ann.")`.
    """
    path = resolve(str(model) if model is not None else None)
    checkpoint = open_checkpoint(path)
    metadata = checkpoint.tokenizer_metadata
    folder = path if path.is_dir() else path.parent
    tokenizer = Tokenizer.from_gguf(metadata) if metadata is not None else Tokenizer.from_folder(folder)
    return Reader(load_model(checkpoint), tokenizer, path.stem if path.is_file() else path.name)


class Reader:
    """A loaded model with its tokenizer. Not for use by several threads at once."""

    def __init__(self, model: Llama, tokenizer: Tokenizer, name: str) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name

    def ask(
        self,
        question: str,
        text: str | Source | Iterable[Source],
        candidates: Sequence[str] | None = None,
        top: int = 5,
        progress: _Progress | None = None,
    ) -> Answers:
        """Answer a question from text: the `top` best of your candidates, or of all spans of the text.

        Texts longer than a window are read in overlapping windows, several sources one after the other; all give one
        distribution. `progress(done, total)` is called after each window.
        Raises InputError for an empty question or text, and for empty or doubled candidates.
        """
        began = time.perf_counter()
        sources = sources_of(text)
        check(question, candidates, top)
        prompts, size = self._prompts(question)
        work = [
            (order, start, end)
            for order, source in enumerate(sources)
            for start, end in windows(
                source.text, self.tokenizer.encode_with_offsets(source.text)[1], size, min(OVERLAP, size // 4)
            )
        ]
        findings = Findings()
        for done, (order, start, end) in enumerate(work, 1):
            if candidates is None:
                self._search(findings, prompts, (order, sources[order]), (start, end), top)
            else:
                reading = read(self.model, prompts.about(sources[order].text[start:end]))
                *values, refusal = self._score(prompts, reading, [*candidates, prompts.wording.refusal])
                findings.add(dict(zip(candidates, values, strict=True)), log_sum(values), refusal)
            if progress:
                progress(done, len(work))
        if candidates is not None:
            findings.locate(sources, candidates)
        if not findings:
            raise InputError("E-TEXT-NO-WORDS")
        answers, nothing = findings.ranked(top)
        length = sum(len(source.text) for source in sources)
        coverage = Coverage(length, length, len(work))
        return Answers(question, answers, nothing, self.name, coverage, _since(began))

    def rank(self, question: str, candidates: Sequence[str], top: int | None = None) -> Ranking:
        """Rank candidates by the model's own knowledge, without a text; probabilities are among the candidates."""
        began = time.perf_counter()
        check(question, candidates, 1 if top is None else top)
        prompts, _ = self._prompts(question)
        tokens = prompts.alone()
        scores = self._score(prompts, read(self.model, tokens), candidates)
        values = dict(zip(candidates, scores, strict=True))
        total = log_sum(scores)
        order = sorted(values, key=lambda text: -values[text])
        answers = tuple(Answer(text, math.exp(values[text] - total), values[text]) for text in order[:top])
        return Ranking(question, answers, self.name, _since(began))

    def generate(
        self,
        prompt: str,
        *,
        raw: bool = False,
        system: str | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> Generated:
        """Write on from a prompt, in the model's chat template unless `raw`; greedy at temperature 0.

        `on_text` gets each piece of text as it is written. Raises InputError for settings out of range.
        """
        if raw:
            tokens = self.tokenizer.encode_prompt(prompt)
        else:
            messages = [{"role": "system", "content": system}] if system else []
            tokens = self.tokenizer.encode_chat([*messages, {"role": "user", "content": prompt}])
        settings = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
        return generate(
            self.model,
            self.tokenizer,
            tokens,
            settings,
            max_tokens=max_tokens,
            stop=stop,
            on_text=on_text,
            new_text=not raw,
        )

    def _prompts(self, question: str) -> tuple[Prompts, int]:
        """Give the prompts and how many tokens of text fit beside them: without examples in a very short context."""
        context = self.model.config.context
        room, least = min(_ROOM, context // 4), min(OVERLAP, context) // 4
        prompts = Prompts(self.tokenizer, wording_for(question), question)
        if prompts.overhead + room + least > context:
            prompts = replace(prompts, examples=False)
        if prompts.overhead + room + least > context:
            raise InputError("E-QUESTION-LONG", tokens=prompts.overhead, limit=context - room - least)
        return prompts, min(WINDOW, context - prompts.overhead - room)

    def _search(
        self,
        findings: Findings,
        prompts: Prompts,
        source: tuple[int, Source],
        window: tuple[int, int],
        top: int,
    ) -> None:
        """Search the spans of one window; spans that read the same are one answer with several places."""
        text, begin = source[1].text, window[0]
        places: dict[str, list[tuple[int, int]]] = {}
        for start, end in spans(text[begin : window[1]]):
            place = (begin + start, begin + end)
            places.setdefault(in_one_line(text[slice(*place)]), []).append(place)
        sequences = dict(zip(places, prompts.answers(list(places)), strict=True))
        sequences = {answer: tokens for answer, tokens in sequences.items() if 0 < len(tokens) <= LONGEST}
        if not sequences:
            return
        texts = list(sequences)
        reading = read(self.model, prompts.about(text[begin : window[1]]))
        found = search(reading, list(sequences.values()), end=prompts.end, top=top)
        best = {texts[index]: value for index, value in found.best}
        (refusal,) = self._score(prompts, reading, [prompts.wording.refusal])
        findings.add(best, log(found.mass), refusal)
        for answer in best:
            findings.place(answer, *source, places[answer])

    def _score(self, prompts: Prompts, reading: Reading, answers: Sequence[str]) -> list[float]:
        scored = score(reading, prompts.answers(list(answers)), end=prompts.end)
        return [float(each.sum()) for each in scored]


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
