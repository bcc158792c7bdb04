"""One question on its way through the windows of its texts."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from puna.answer.evidence import occurrences
from puna.answer.findings import Findings, Look
from puna.answer.mixture import Window, log, log_sum
from puna.answer.normalise import normalised
from puna.answer.pointed import pointed
from puna.answer.prompt import Prompt, Prompts
from puna.answer.settings import Settings
from puna.answer.spans import in_one_line, spans_within
from puna.answer.types import Passage, Source, Support
from puna.rank.hide import score_hiding
from puna.rank.pointer import Pointer
from puna.rank.score import Reading, read, score
from puna.rank.search import Search
from puna.rank.shelf import Shelf
from puna.tokens.sentences import sentences

LONGEST = 64  # tokens of a span; what is longer is no word but a key, a picture or noise
_TOLERANCE = 0.1  # of the known probability may be unvisited: what is printed then hardly depends on --top
_STEP = 3.0  # nats by which an exact search looks deeper in each round

Range = tuple[int, int, int]  # of source number, start and end in code points
Progress = Callable[[int, int], None]
Stop = Callable[[], bool]


class _StoppedError(Exception):
    """A window was read, but the search of it was not begun."""


class Inquiry:
    """A question, what to read for it, and the settings. `done`: how many windows were read.

    weights: how likely each window is beforehand to hold the answer, beside the others; None where the windows are those
    of whole texts, each as likely. With weights, a source may have parts that no window holds, and nothing there counts.
    """

    def __init__(
        self,
        shelf: Shelf,
        prompts: Prompts,
        sources: Sequence[Source],
        settings: Settings,
        pointer: Pointer | None = None,
        weights: Mapping[Range, float] | None = None,
    ) -> None:
        self._shelf, self._prompts, self._sources, self._settings = shelf, prompts, sources, settings
        self._pointer, self._weights = pointer, weights
        self._priors: dict[str, float] = {}
        self.done = 0
        shelf.begin()

    def read_ahead(self, windows: Sequence[Range], progress: Progress, stop: Stop) -> None:
        """Read the windows up to where a question would stand."""
        for order, start, end in self._each(windows, progress, stop):
            prompt = self._prompts.about(self._sources[order].text[start:end])
            self._shelf.read_ahead(prompt.tokens, prompt.cuts)

    def search(self, windows: Sequence[Range], progress: Progress, stop: Stop) -> Findings:
        """Search the spans of all windows; those without a word give nothing."""
        looks: list[Look] = []
        with suppress(_StoppedError):
            for window in self._each(windows, progress, stop):
                look = self._search(window, stop)
                looks += [look] if look else []
        findings = Findings(self._sources, self._settings, looks, whole=self.done == len(windows))
        return self._prove(findings, progress, stop) if self._settings.exact else findings

    def judge(
        self, windows: Sequence[Range], candidates: Sequence[str], progress: Progress, stop: Stop
    ) -> Findings:
        """Score the user's own candidates in all windows."""
        looks = []
        tokens = self._prompts.answers([*candidates, self._prompts.wording.refusal])
        sizes = {text: len(ids) + 1 for text, ids in zip(candidates, tokens, strict=False)}
        for order, start, end in self._each(windows, progress, stop):
            scored = score(self._read(order, start, end)[1], tokens, end=self._prompts.end)
            *values, refusal = [float(each.sum()) for each in scored]
            scores = dict(zip(candidates, values, strict=True))
            window = self._window(scores, sizes, log_sum(values), refusal)
            text = self._sources[order].text
            # Once over a whole text: a long candidate may be cut by every window.
            whole = (0, len(text)) if self._weights is None else (start, end)
            places = (
                {each: occurrences(text, each.strip(), *whole) for each in candidates} if whole[0] == start else {}
            )
            looks.append(
                Look(order, start, end, scores, window, places, "", None, self._weight((order, start, end)))
            )
        return Findings(self._sources, self._settings, looks)

    def explain(self, findings: Findings, stop: Stop) -> dict[str, list[Support]]:
        """Hide each sentence of the windows that hold a given answer, and say what each answer loses, most first."""
        found: dict[str, dict[Range, float]] = {text: {} for text in findings.leaders}
        for look in findings.looks:
            here = [text for text in found if look.found is None or _inside(findings.places[text], look)]
            if not here or stop():
                continue
            prompt, reading = self._read(look.source, look.start, look.end)
            tail, reading = prompt.tokens[prompt.asked :], reading.until(prompt.asked)
            every = sentences(self._sources[look.source].text[look.start : look.end])
            hidden = [(0, 0), *(prompt.covering(*sentence) for sentence in every)]
            scores = score_hiding(reading, tail, self._prompts.answers(here), hidden, end=self._prompts.end)
            for (first, last), losses in zip(every, (scores[0] - scores[1:]).tolist(), strict=True):
                place = (look.source, look.start + first, look.start + last)
                for text, loss in zip(here, losses, strict=True):
                    found[text][place] = max(loss, found[text].get(place, -math.inf))
        return {
            text: [self._support(place, loss) for place, loss in sorted(losses.items(), key=lambda item: -item[1])]
            for text, losses in found.items()
        }

    def _each(self, windows: Sequence[Range], progress: Progress, stop: Stop) -> Iterator[Range]:
        for window in windows:
            if stop():
                return
            yield window
            self.done += 1
            progress(self.done, len(windows))

    def _weight(self, window: Range) -> float:
        return 1.0 if self._weights is None else self._weights[window]

    def _read(self, order: int, start: int, end: int) -> tuple[Prompt, Reading]:
        prompt = self._prompts.about(self._sources[order].text[start:end])
        return prompt, self._shelf.read(prompt.tokens, prompt.cuts)

    def _prove(self, findings: Findings, progress: Progress, stop: Stop) -> Findings:
        """Look deeper where a window could still hold something better, until none can."""
        depth, count = 0.0, len(findings.looks)
        with suppress(_StoppedError):
            while not stop() and not findings.proven():
                level = findings.least() - math.log(count) - depth
                looks = list(findings.looks)
                for number, look in enumerate(looks):
                    looks[number] = self._deeper(look, level, stop)
                    progress(number + 1, count)
                findings = Findings(self._sources, self._settings, looks)
                depth += _STEP
        return findings

    def _deeper(self, look: Look, level: float, stop: Stop) -> Look:
        """Search a window again, down to odds of `level` (nats); what it knew already is not lost where that stops."""
        if look.found is None or look.odds(look.found.bound) <= level:
            return look
        found = self._search((look.source, look.start, look.end), stop, level + look.aside)
        return found if found and found.found and found.found.bound <= look.found.bound else look

    def _search(self, window: Range, stop: Stop, floor: float = math.inf) -> Look | None:
        """Search the spans of one window; spans that read the same are one answer with several places."""
        order, begin, last = window
        text, settings = self._sources[order].text, self._settings
        places: dict[str, list[tuple[int, int]]] = {}
        for place in spans_within(text, begin, last, settings.max_words, settings.max_chars):
            places.setdefault(in_one_line(text[slice(*place)]), []).append(place)
        *tokens, refusal = self._prompts.answers([*places, self._prompts.wording.refusal])
        sequences = {
            answer: ids
            for answer, ids in zip(places, tokens, strict=True)
            if 0 < len(ids) <= LONGEST and ids != refusal
        }
        if not sequences:
            return None
        names, (prompt, reading) = list(sequences), self._read(*window)
        weights = None
        if self._pointer:
            found_at = [[(start - begin, end - begin) for start, end in places[name]] for name in names]
            weights = pointed(self._pointer, reading, prompt, found_at)
        search = Search(reading, list(sequences.values()), end=self._prompts.end, aside=refusal, weights=weights)
        top = settings.pool or settings.top
        while True:
            found = search.run(top, floor=floor, tolerance=_TOLERANCE, max_nodes=settings.budget, stop=stop)
            if not found.passes:
                raise _StoppedError
            scores = {names[index]: value for index, value in found.complete[: settings.pool]}
            sizes = {answer: len(sequences[answer]) + 1 for answer in scores}
            seen = self._window(scores, sizes, log(found.mass), found.aside)
            if settings.calibration:
                seen = settings.calibration.apply(seen)
            stands = {answer: places[answer] for answer in scores}
            line = in_one_line(text[begin:last])
            look = Look(*window, scores, seen, stands, line, found, self._weight(window))
            if settings.pool or not found.proves(top) or Findings(self._sources, settings, [look]).proven():
                return look
            top += settings.top

    def _window(self, scores: dict[str, float], sizes: dict[str, int], total: float, refusal: float) -> Window:
        """Give the scores as they count; `total` is that of all spans together."""
        length = sizes[max(scores, key=lambda text: scores[text])] if scores else 0
        if self._settings.normalise == "sum":
            return Window(scores, total, refusal, length)
        none = self._prompts.wording.refusal
        sizes = {**sizes, none: len(self._prompts.answers([none])[0]) + 1}
        every = normalised({**scores, none: refusal}, self._settings.normalise, sizes, self._prior)
        counted = {text: every[text] for text in scores}
        return Window(counted, log_sum(list(counted.values())), every[none], length)

    def _prior(self, answers: Iterable[str]) -> dict[str, float]:
        """Log-probabilities of answers to the question without the text; each is scored once."""
        new = [text for text in answers if text not in self._priors]
        if new:
            reading = read(self._shelf.model, self._prompts.alone())
            scored = score(reading, self._prompts.answers(new), end=self._prompts.end)
            self._priors.update((text, float(each.sum())) for text, each in zip(new, scored, strict=True))
        return self._priors

    def _support(self, place: Range, loss: float) -> Support:
        order, start, end = place
        source = self._sources[order]
        return Support(source.name, Passage(source.text[start:end], start, end), loss)


def _inside(places: Sequence[Range], look: Look) -> bool:
    return any(order == look.source and look.start <= start and end <= look.end for order, start, end in places)
