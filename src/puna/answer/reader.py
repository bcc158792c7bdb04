"""The front door of the library: a model that reads texts and ranks answers."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, Unpack

from puna.answer.adapters import SENTIMENT, SHIPPED, TRANSLATOR, Chosen, choose_adapter, pointer_of
from puna.answer.calibration import Calibration, load_calibration
from puna.answer.checks import check, check_excerpts, sources_of
from puna.answer.evidence import explained
from puna.answer.findings import Findings
from puna.answer.inquiry import Inquiry, Progress, Range, Stop
from puna.answer.mixture import log_sum
from puna.answer.normalise import normalised
from puna.answer.prompt import WORDINGS, Prompts, Wording, wording_for, wording_of
from puna.answer.settings import Options, Settings
from puna.answer.types import Answer, Answers, Coverage, Excerpt, Holding, Ranking, Source
from puna.answer.windows import OVERLAP, room_of, shares_of, summed, window_size, windows_of
from puna.decode.generate import Generated, generate
from puna.decode.sampling import Sampling
from puna.errors import InputError
from puna.llama.device import choose_device
from puna.llama.load import load as load_model
from puna.llama.model import Llama
from puna.rank.kept import KeptFiles, known_digest
from puna.rank.pointer import Pointer
from puna.rank.score import read, score
from puna.rank.shelf import MEMORY, Shelf
from puna.tokens.files import check_inside
from puna.tokens.tokenizer import Tokenizer
from puna.weights.adapted import AdaptedCheckpoint
from puna.weights.adapter import CALIBRATION, read_own
from puna.weights.checkpoint import open_checkpoint
from puna.weights.kept_folder import KeptFolder, kept_dir
from puna.weights.store import resolve


def load(
    model: str | Path | None = None,
    *,
    adapter: str | Path | None = SHIPPED,
    device: str | None = None,
    memory: int = MEMORY,
    keep: bool | str | Path | KeptFolder = False,
) -> "Reader":
    """Load a model: a path, the name of a pulled model, or None for the default one.

    `adapter`: a LoRA adapter's folder or GGUF file; None for the model as it is; "shipped" reads texts with the reader
    that Puna brings for this model, if it brings one, while `rank` and `generate`, which ask what the model itself knows,
    go without it (they load the plain weights when they are first called). A whole model's folder that was trained to
    read brings its own prompt and pointer, which "shipped" stands for as well. "translator" and "sentiment"
    are likewise what Puna brings for `puna.tasks.translate` and `puna.tasks.sentiment`.
    `device`: "cpu", "cuda" or "cuda:N"; None is a GPU where there is one. What it reads is kept for further questions,
    in at most `memory` bytes; and with `keep` also on disk, for other processes: in the user's cache, or in a folder of
    yours (a `KeptFolder` says how much that may take).
    Raises PullError where the default model was not pulled yet, ModelFileError where a file cannot be used or the adapter
    is for another model, InputError where there is no such device.
    Example: `puna.load().ask("Who led it?", "The walk was led by Ann.")`.
    """
    where = choose_device(device)
    path = resolve(str(model) if model is not None else None)
    checkpoint = open_checkpoint(path)
    metadata = checkpoint.tokenizer_metadata
    folder = path if path.is_dir() else path.parent
    tokenizer = Tokenizer.from_gguf(metadata) if metadata is not None else Tokenizer.from_folder(folder)
    name = path.stem if path.is_file() else path.name
    kept: KeptFolder | None = None
    if isinstance(keep, KeptFolder):
        kept = keep
    elif keep is not False:
        kept = KeptFolder(kept_dir() if keep is True else Path(keep))

    @cache
    def digest() -> str:
        return known_digest(path, kept or KeptFolder(kept_dir()))

    def made(chosen: Chosen | None, plain: "Callable[[], Reader] | None" = None) -> Reader:
        if chosen is None:
            loaded = load_model(checkpoint, device=where)
            files = KeptFiles(loaded, digest(), kept) if kept else None
            return Reader(loaded, tokenizer, name, memory=memory, files=files)
        with_it = chosen.adapter
        loaded = load_model(AdaptedCheckpoint(checkpoint, with_it), device=where)
        return Reader(
            loaded,
            tokenizer,
            f"{name}+{with_it.name}-{with_it.digest[:8]}",
            memory=memory,
            files=KeptFiles(loaded, digest(), kept, with_it.digest) if kept else None,
            pointer=pointer_of(with_it, loaded.config.width),
            examples=with_it.examples,
            calibration=chosen.calibration,
            plain=plain,
            trained=with_it.trained,
        )

    own = read_own(path) if adapter in (SHIPPED, TRANSLATOR, SENTIMENT) else None
    if own is not None:
        return made(Chosen(own, path / CALIBRATION))
    chosen = choose_adapter(adapter, name, checkpoint.size_bytes, checkpoint.config, digest)
    return made(chosen, (lambda: made(None)) if adapter in (SHIPPED, SENTIMENT) else None)


class Reader:
    """A loaded model with its tokenizer. Not for use by several threads at once.

    `examples`: whether worked examples stand before a text. `calibration`: the file of this model's own, used where none
    is given. `plain` gives the reader of the model that `rank` and `generate` ask, where that is another one. `trained`:
    the kind of training that its adapter says it had.
    """

    def __init__(
        self,
        model: Llama,
        tokenizer: Tokenizer,
        name: str,
        *,
        memory: int = MEMORY,
        files: KeptFiles | None = None,
        pointer: Pointer | None = None,
        examples: bool = True,
        calibration: Path | None = None,
        plain: "Callable[[], Reader] | None" = None,
        trained: str | None = None,
    ) -> None:
        if memory < 0:
            raise InputError("E-MEMORY", value=memory)
        self.model, self.tokenizer, self.name, self.trained = model, tokenizer, name, trained
        self._pointer = pointer
        if pointer:
            model.take_notes(pointer.notes)
        self.examples, self._calibration, self._plain = examples, calibration, plain
        self._shelf = Shelf(model, memory=memory, files=files)

    def over(self, shelf: Shelf) -> "Reader":
        """Give this reader with another shelf and that shelf's model: the same weights. It is its own `plain`."""
        other = copy(self)
        other.__dict__.pop("plain", None)
        other.model, other._shelf, other._plain = shelf.model, shelf, None
        return other

    @cached_property
    def plain(self) -> "Reader":
        """The reader of the model without Puna's own adapter; itself where it has none, or one that was asked for."""
        return self._plain() if self._plain else self

    def own_calibration(self, normalise: str = "sum") -> Calibration | None:
        """Give the calibration that stands beside the adapter, if there is one for this normalisation."""
        found = self._beside
        return found if found and found.normalise == normalise else None

    @cached_property
    def _beside(self) -> Calibration | None:
        path = self._calibration
        if path is None or not path.exists():
            return None
        check_inside(path)  # it came with the adapter, from whom that came from
        return load_calibration(path)

    def read(
        self,
        text: str | Source | Iterable[Source],
        *,
        language: Literal["en", "zh"] | None = None,
        progress: Progress | None = None,
        stop: Stop | None = None,
    ) -> Coverage:
        """Read a text ahead, so that already the first question about it finds it read, and say how far that got.

        `language`: that of the questions to come, by which the worked examples before the text are chosen; None for the
        text's own. `progress` and `stop` as in `ask`. In a model whose context is no longer than a window, the windows
        depend on the question's length, and little may be gained.
        """
        sources = sources_of(text)
        wording = wording_of(source.text for source in sources) if language is None else WORDINGS[language]
        inquiry, windows = self._inquire("", sources, Settings(), wording)
        inquiry.read_ahead(windows, progress or (lambda done, total: None), stop or (lambda: False))
        return _coverage(windows, inquiry.done)

    def ask(
        self,
        question: str,
        text: str | Source | Iterable[Source],
        candidates: Sequence[str] | None = None,
        *,
        progress: Progress | None = None,
        stop: Stop | None = None,
        **options: Unpack[Options],
    ) -> Answers:
        """Answer a question from text: the `top` best of your candidates, or of all spans of the text.

        Texts longer than a window are read in overlapping windows, several sources one after the other; all give one
        distribution. The options are those of `puna.answer.settings.Settings`. `progress(done, total)` is called after
        each window; when `stop()` turns true, the best found so far is given: `coverage` and `certificate` say how far
        it got (KeyboardInterrupt where there is nothing yet). Where no `calibration` is named, the
        adapter's own holds, if it has one.
        Raises InputError for an empty question or text, for empty or doubled candidates and settings out of range.
        """
        return self._ask(question, sources_of(text), None, candidates, progress, stop, options)[0]

    def ask_excerpts(
        self,
        question: str,
        sources: Sequence[Source],
        excerpts: Sequence[Excerpt],
        candidates: Sequence[str] | None = None,
        *,
        progress: Progress | None = None,
        stop: Stop | None = None,
        **options: Unpack[Options],
    ) -> tuple[Answers, list[Holding]]:
        """Answer a question from parts of sources, each with its prior, as `ask` does from whole texts.

        Excerpts may overlap: a place in two of them is one place. Those longer than a window are read in several. All are
        read in the order given, so what is likelier comes first: `stop` leaves out the rest. Also gives for each excerpt
        how probable it is that the answer stands there. `coverage` counts the characters of excerpts, those of two once.
        Without an excerpt that has a word there are no answers, and the probability of none is 1. Raises InputError as
        `ask` does, and for excerpts that are none.
        """
        sources = list(sources)
        check_excerpts(sources, excerpts)
        return self._ask(question, sources, excerpts, candidates, progress, stop, options)

    def _ask(
        self,
        question: str,
        sources: Sequence[Source],
        excerpts: Sequence[Excerpt] | None,
        candidates: Sequence[str] | None,
        progress: Progress | None,
        stop: Stop | None,
        options: Options,
    ) -> tuple[Answers, list[Holding]]:
        began = time.perf_counter()
        given: Options = {"calibration": self.own_calibration(options.get("normalise", "sum")), **options}
        settings = Settings(**given)
        check(question, candidates)
        if candidates is not None:
            settings = settings.judging()
        if settings.calibration is not None:
            settings.calibration.check(self.name)
        shares: list[dict[Range, float]] = []
        if excerpts is None:
            inquiry, windows = self._inquire(question, sources, settings)
        else:
            prompts, size = self._prompts(question)
            shares = shares_of(sources, excerpts, self.tokenizer, size)
            weights = summed(shares)
            inquiry = Inquiry(self._shelf, prompts, sources, settings, self._pointer, weights)
            windows = list(weights)
        report, stop = progress or (lambda done, total: None), stop or (lambda: False)
        if candidates is None:
            findings = inquiry.search(windows, report, stop)
        else:
            findings = inquiry.judge(windows, candidates, report, stop)
        if not findings.leaders:
            if stop():
                raise KeyboardInterrupt
            if findings.looks:
                raise InputError("E-MAX-NODES-FEW", value=settings.budget)
            if excerpts is None:
                raise InputError("E-TEXT-NO-WORDS")
        answers = findings.answers()
        if settings.why:
            answers = explained(answers, inquiry.explain(findings, stop))
        found = Answers(
            question=question,
            answers=answers,
            no_answer_probability=findings.no_answer_probability,
            model=self.name,
            coverage=_coverage(windows, inquiry.done),
            certificate=findings.certificate(),
            elapsed_ms=_since(began),
            threshold=settings.threshold,
        )
        return found, findings.holdings(shares)

    def examine(self, question: str, text: str | Source | Iterable[Source], settings: Settings) -> Findings:
        """Search as `ask` does and give what each window said; calibration is fitted to that."""
        sources = sources_of(text)
        check(question, None)
        inquiry, windows = self._inquire(question, sources, settings)
        return inquiry.search(windows, lambda done, total: None, lambda: False)

    def rank(
        self, question: str, candidates: Sequence[str], top: int | None = None, normalise: str = "sum"
    ) -> Ranking:
        """Rank candidates by the model's own knowledge, without a text; probabilities are among the candidates.

        `normalise` as in `ask`; "prior" takes away what the candidates get behind an empty question.
        """
        if self.plain is not self:
            return self.plain.rank(question, candidates, top, normalise)
        began = time.perf_counter()
        check(question, candidates)
        settings = Settings(top=len(candidates) if top is None else top, normalise=normalise)
        prompts, _ = self._prompts(question)

        def scores(asked: Prompts) -> dict[str, float]:
            scored = score(read(self.model, asked.alone()), asked.answers(candidates), end=asked.end)
            return {text: float(each.sum()) for text, each in zip(candidates, scored, strict=True)}

        values = scores(prompts)
        sizes = {text: len(ids) + 1 for text, ids in zip(candidates, prompts.answers(candidates), strict=True)}
        counted = normalised(values, normalise, sizes, lambda _: scores(replace(prompts, question="")))
        total = log_sum(list(counted.values()))
        order = sorted(values, key=lambda text: -counted[text])
        answers = tuple(
            Answer(text, math.exp(counted[text] - total), values[text]) for text in order[: settings.top]
        )
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
            self.plain.model,
            self.tokenizer,
            tokens,
            settings,
            max_tokens=max_tokens,
            stop=stop,
            on_text=on_text,
            new_text=not raw,
        )

    def _prompts(self, question: str, wording: Wording | None = None) -> tuple[Prompts, int]:
        """Give the prompts and how many tokens of text fit beside them: without examples in a very short context."""
        context = self.model.config.context
        room, least = room_of(context), min(OVERLAP, context) // 4
        prompts = Prompts(self.tokenizer, wording or wording_for(question), question, self.examples)
        if prompts.overhead + room + least > context:
            prompts = replace(prompts, examples=False)
        if prompts.overhead + room + least > context:
            raise InputError("E-QUESTION-LONG", tokens=prompts.overhead, limit=context - room - least)
        return prompts, window_size(context, prompts.overhead)

    def _inquire(
        self, question: str, sources: Sequence[Source], settings: Settings, wording: Wording | None = None
    ) -> tuple[Inquiry, list[Range]]:
        prompts, size = self._prompts(question, wording)
        ranges = [
            (order, start, end)
            for order, source in enumerate(sources)
            for start, end in windows_of(source.text, self.tokenizer, size)
        ]
        return Inquiry(self._shelf, prompts, sources, settings, self._pointer), ranges


def _coverage(windows: Sequence[Range], done: int) -> Coverage:
    """Say how much of the windows is in the first `done` of them."""
    return Coverage(_characters(windows), _characters(windows[:done]), done)


def _characters(windows: Sequence[Range]) -> int:
    """Count the characters of windows, those in several once."""
    known = 0
    reached = (0, 0)
    for order, start, end in sorted(windows):
        begin = max(start, reached[1]) if order == reached[0] else start
        known += max(end - begin, 0)
        reached = (order, max(begin, end))
    return known


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
