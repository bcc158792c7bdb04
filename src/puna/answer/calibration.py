"""Honest probabilities: a small model, fitted on labelled rows, from what a window's search says to what holds.

A conditional logit (McFadden 1974) over everything that can be true of a window. With s the score of an answer, m the
log of all spans' probability together, r the refusal's score and n the best answer's tokens:

    the best answer found       a₀ + a·s
    another one found           a·s
    another span                b₀ + b₁·m + b₂·n
    none                        d₀ + d₁·r + d₂·m + d₃·n

Answers keep their order in a window (a > 0, a₀ ≥ 0), so the certificate stays true. What the windows of a text say is
joined as before (see `mixture`). "True" is an exact match with a labelled answer; where several are ("1840", "in 1840"),
the first of them in the ranking, so that the best answer's probability is that of its being right. The answers that count
as found are the KEPT best of a window, so that probabilities do not depend on how many are asked for.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from puna.answer.mixture import Window, log_sum
from puna.answer.normalise import NORMALISATIONS
from puna.errors import InputError, shown

FORMAT = 2
LOW = -100.0  # log-probabilities below this count as this
_LARGEST = 1 << 20  # bytes of a calibration's file; those in use have a few thousand
KEPT = 20  # answers of a window that have probabilities of their own


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The fitted numbers, named as in the table above; as they stand here, probabilities are left as they are."""

    a: float = 1.0
    a0: float = 0.0
    b0: float = -math.inf
    b1: float = 0.0
    b2: float = 0.0
    d0: float = 0.0
    d1: float = 1.0
    d2: float = 0.0
    d3: float = 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Coefficients, what they were fitted for, and how the answers of rows not fitted on turned out.

    curve: (probability, coverage, error) with falling probability: of all questions, `coverage` had a best answer at
    least that probable, and of those at most the share `error` was wrong, as (wrong + 1) / (answered + 1).
    """

    model: str
    normalise: str
    rows: int
    coefficients: Coefficients
    curve: tuple[tuple[float, float, float], ...]
    measured: Mapping[str, float | None]

    def check(self, model: str) -> None:
        """Raise InputError for a model that this was not fitted for."""
        if self.model != model:
            raise InputError("E-CALIBRATION-MODEL", fitted=shown(self.model), model=model)

    def apply(self, window: Window) -> Window:
        """Give the window with calibrated scores of the KEPT best; its total then counts the other spans as well."""
        c, known = self.coefficients, max(window.total, LOW)
        scores = {text: max(score, LOW) for text, score in kept(window).candidates.items()}
        best = max(scores.values(), default=LOW)
        candidates = {text: c.a * score + (c.a0 if score == best else 0.0) for text, score in scores.items()}
        other = c.b0 + c.b1 * known + c.b2 * window.length
        refusal = c.d0 + c.d1 * max(window.refusal, LOW) + c.d2 * known + c.d3 * window.length
        return replace(window, candidates=candidates, total=log_sum([*candidates.values(), other]), refusal=refusal)

    def threshold(self, error: float) -> float:
        """Least probability that keeps the share of wrong answers at `error` or below. Raises InputError if none does."""
        if not 0 < error < 1:
            raise InputError("E-MAX-ERROR", value=error)
        enough = [probability for probability, _, wrong in self.curve if wrong <= error]
        if not enough:
            least = min((wrong for _, _, wrong in self.curve), default=1.0)
            raise InputError("E-MAX-ERROR-UNREACHED", wanted=f"{error:.1%}", least=f"{least:.1%}", rows=self.rows)
        return min(enough)

    def to_json(self) -> str:
        """Give the calibration file's text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=1) + "\n"


def kept(window: Window) -> Window:
    """Give the window with its KEPT best answers."""
    best = sorted(window.candidates.items(), key=lambda item: -item[1])[:KEPT]
    return replace(window, candidates=dict(best))


def load_calibration(path: str | Path) -> Calibration:
    """Read a file that `puna calibrate` wrote. Raises InputError if it is missing or something else."""
    try:
        if not Path(path).is_file() and Path(path).exists():  # opening a pipe would wait for ever
            raise OSError(0, "it is no file")
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError
        found: Any = json.loads(content.decode("utf-8"))
    except FileNotFoundError:
        raise InputError("E-FILE-MISSING", path=path, cwd=Path.cwd()) from None
    except OSError as error:
        raise InputError("E-FILE-READ", path=path, reason=str(error.strerror).lower()) from None
    except (ValueError, RecursionError):
        raise InputError("E-CALIBRATION-FILE", path=path) from None
    try:
        if found["format"] != FORMAT or found["normalise"] not in NORMALISATIONS:
            raise ValueError
        given = {name: float(value) for name, value in found["coefficients"].items()}
        curve = tuple((float(p), float(c), float(e)) for p, c, e in found["curve"])
        if given.keys() != asdict(Coefficients()).keys() or given["a"] <= 0 or given["a0"] < 0:
            raise ValueError
        if not all(map(math.isfinite, (*given.values(), *chain(*curve)))):
            raise ValueError
        measured = dict(found["measured"])
        if not all(value is None or type(value) in (int, float) for value in measured.values()):
            raise ValueError
        return Calibration(
            model=str(found["model"]),
            normalise=found["normalise"],
            rows=int(found["rows"]),
            coefficients=Coefficients(**given),
            curve=curve,
            measured=measured,
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise InputError("E-CALIBRATION-FILE", path=path) from None
