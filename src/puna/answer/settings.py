"""What can be set for a question, and what is refused."""

from dataclasses import dataclass, replace
from typing import TypedDict

from puna.answer.calibration import KEPT, Calibration
from puna.answer.normalise import COMPARED, NORMALISATIONS
from puna.answer.spans import MAX_CHARS, MAX_WORDS
from puna.errors import InputError

MAX_NODES = (
    8192  # nodes opened in a window unless the search is to be exact: keeps a lost model from searching for minutes
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one question.

    top: how many answers. max_words, max_chars: longest span. exact: search until the answers are proven over all
    windows together. max_nodes: budget of a window. normalise: one of NORMALISATIONS. group: show wordings of one
    answer as one. why: say what each answer loses when a sentence is hidden. max_error: share of wrong answers among
    those given that is put up with; the rest is "not in the text". It needs a calibration.
    """

    top: int = 5
    max_words: int = MAX_WORDS
    max_chars: int = MAX_CHARS
    exact: bool = False
    max_nodes: int | None = None
    normalise: str = "sum"
    group: bool = True
    why: bool = False
    calibration: Calibration | None = None
    max_error: float | None = None

    def __post_init__(self) -> None:
        """Raise InputError for what is out of range."""
        if self.top < 1:
            raise InputError("E-TOP", top=self.top)
        for option, value in (("--max-words", self.max_words), ("--max-chars", self.max_chars)):
            if value < 1:
                raise InputError("E-SPAN-LENGTH", option=option, value=value)
        if self.max_nodes is not None and self.max_nodes < 1:
            raise InputError("E-MAX-NODES", value=self.max_nodes)
        if self.max_nodes is not None and self.exact:
            raise InputError("E-EXACT-BUDGET")
        if self.normalise not in NORMALISATIONS:
            raise InputError("E-NORMALISE", value=self.normalise, known=", ".join(NORMALISATIONS))
        if self.max_error is not None:
            if self.calibration is None:
                raise InputError("E-MAX-ERROR-UNCALIBRATED")
            self.calibration.threshold(self.max_error)
        if self.calibration is not None and self.calibration.normalise != self.normalise:
            raise InputError("E-CALIBRATION-NORMALISE", value=self.normalise, fitted=self.calibration.normalise)

    def judging(self) -> "Settings":
        """Give the settings for candidates of the user's own: nothing is searched, so there is nothing to calibrate."""
        if self.max_error is not None:
            raise InputError("E-MAX-ERROR-CANDIDATES")
        return replace(self, group=False, calibration=None)

    @property
    def budget(self) -> int | None:
        """Nodes that may be opened in a window."""
        return None if self.exact else self.max_nodes or MAX_NODES

    @property
    def pool(self) -> int | None:
        """How many of a window's spans, the most probable, are candidates; None for all."""
        if self.normalise != "sum":
            return COMPARED
        return None if self.calibration is None else KEPT

    @property
    def threshold(self) -> float | None:
        """Probability that the best answer must have to be given."""
        if self.max_error is None or self.calibration is None:
            return None
        return self.calibration.threshold(self.max_error)


class Options(TypedDict, total=False):
    """The settings as keyword arguments, each with its default where it is left out."""

    top: int
    max_words: int
    max_chars: int
    exact: bool
    max_nodes: int | None
    normalise: str
    group: bool
    why: bool
    calibration: Calibration | None
    max_error: float | None
