"""The study `lstm`: the second article's reader, trained for real, beside the reader that Puna ships.

All answer the same held-back rows about articles that none of them has learned from, and are scored alike:

- `lstm`: the article's parts in a form that can work (`puna.lab.lstm`);
- `joined`: the same with the article's concatenation alone, under which the question cannot matter;
- `classes`: the article's scoring of candidates that are known before: the most frequent answers of the rows learned;
- `puna`: `puna.load().ask`, the first answer, not calibrated.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from puna.lab.lstm_run import SIZES, Trained
from puna.lab.questions import LANGUAGES, Parts, Question, files, parts
from puna.lab.study import Done, Piece, Setting, Study, Table, Watch
from puna.rank.kept import known_digest
from puna.weights.kept_folder import KeptFolder, kept_dir
from puna.weights.store import resolve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from puna.answer.reader import Reader

_SHARE = 25  # rows that Puna answers in one piece
_READERS = ("classes", "joined", "lstm", "puna")
_NAMES = {
    "classes": ("LSTM, candidates as classes", "LSTM，候选作为类别"),
    "joined": ("LSTM, states only concatenated", "LSTM，仅拼接状态"),
    "lstm": ("LSTM, carried from the question into the text", "LSTM，从问题读到正文"),
    "puna": ("Puna's reader", "Puna 的阅读器"),
}
_LANGUAGES = {
    "en": ("English (SQuAD 1.1)", "英文（SQuAD 1.1）"),
    "zh": ("Chinese (CMRC 2018)", "中文（CMRC 2018）"),
}


class LstmStudy(Study):
    """How well does the article's reader answer, and what does Puna's on the same rows?"""

    takes_model = True

    def __init__(self) -> None:
        self._parts: dict[str, Parts] = {}
        self._reader: Reader | None = None

    def pieces(self, setting: Setting) -> list[Piece]:
        """Give a training for each reader, language and seed, then Puna's answers by the two dozen rows."""
        trained = [
            {"reader": reader, "language": language, "seed": seed}
            for seed in range(setting.seeds)
            for language in LANGUAGES
            for reader in _READERS[:-1]
        ]
        held = SIZES[setting.size].held
        asked = [
            {"reader": "puna", "language": language, "first": first, "last": min(first + _SHARE, held)}
            for language in LANGUAGES
            for first in range(0, held, _SHARE)
        ]
        return [*trained, *asked]

    def decides(self, setting: Setting) -> Mapping[str, Any]:
        """Give the digests of the rows and of the model."""
        return {**setting.digest(*files()), "model": known_digest(resolve(setting.model), KeptFolder(kept_dir()))}

    def run(self, piece: Piece, setting: Setting, watch: Watch) -> dict[str, Any]:
        """Train and ask, or ask Puna; give EM and F1 (fractions) of every row."""
        language, size = piece["language"], SIZES[setting.size]
        if language not in self._parts:
            self._parts[language] = parts(setting, language, size.rows[language], size.held)
        rows = self._parts[language]
        if piece["reader"] == "puna":
            return self._ask(rows.held[piece["first"] : piece["last"]], setting, watch)
        return Trained(rows, size, piece["reader"], piece["seed"], setting.device).run(watch)

    def _ask(self, held: Sequence[Question], setting: Setting, watch: Watch) -> dict[str, Any]:
        import puna
        from puna.evaluate.qa import observe

        self._reader = self._reader or puna.load(setting.model, device=setting.device)
        scores = []
        for number, each in enumerate(held):
            watch(number, len(held))
            found = observe(self._reader, each.row, refusing=False)
            scores.append((found.em, found.f1))
        return {"scores": scores, "model": self._reader.name}

    def summarise(self, done: Sequence[Done]) -> dict[str, Any]:
        """Give for each language and reader: em, f1 in percent (mean and standard deviation over the runs), n, runs."""
        found: dict[str, Any] = {}
        for language in LANGUAGES:
            found[language] = {}
            for reader in _READERS:
                own = [
                    each.found
                    for each in done
                    if (each.piece["reader"], each.piece["language"]) == (reader, language)
                ]
                runs = [one["scores"] for one in own]
                if reader == "puna":  # its pieces are parts of one run
                    runs = [[score for part in runs for score in part]]
                found[language][reader] = {
                    **_spread("em", [statistics.fmean(100 * em for em, _ in run) for run in runs]),
                    **_spread("f1", [statistics.fmean(100 * f1 for _, f1 in run) for run in runs]),
                    "n": len(runs[0]),
                    "runs": len(runs),
                    **({"model": own[0]["model"]} if reader == "puna" else _learned(own)),
                }
        return found

    def table(self, summary: Mapping[str, Any], language: str) -> Table:
        """Give a line for each reader in each language."""
        column = int(language == "zh")
        heads = (["reader", "rows", "EM, %", "F1, %", "runs"], ["阅读器", "题目", "EM（%）", "F1（%）", "次数"])
        lines = [
            [
                _NAMES[reader][column],
                f"{_LANGUAGES[spoken][column]}, {found['n']}",
                *(_with_spread(found, metric) for metric in ("em", "f1")),
                str(found["runs"]),
            ]
            for spoken, readers in summary.items()
            for reader, found in readers.items()
        ]
        return heads[column], lines

    def plot(self, summary: Mapping[str, Any], figure: "Figure") -> None:
        """Draw EM and F1 as bars, one half for each language."""
        figure.set_size_inches(10, 4)
        for axes, (spoken, readers) in zip(
            figure.subplots(1, len(summary), sharey=True), summary.items(), strict=True
        ):
            for place, metric in enumerate(("em", "f1")):
                axes.bar(
                    [n + 0.4 * place - 0.2 for n in range(len(readers))],
                    [found[metric] for found in readers.values()],
                    0.38,
                    yerr=[found[f"{metric}_sd"] for found in readers.values()],
                    label=metric.upper(),
                )
            axes.set_xticks(range(len(readers)), readers)
            axes.set(title=_LANGUAGES[spoken][0], ylabel="percent")
            axes.grid(axis="y", alpha=0.3)
            axes.legend(frameon=False)


def _spread(metric: str, values: Sequence[float]) -> dict[str, float]:
    """Give mean and standard deviation, 0 of a single run."""
    return {metric: statistics.fmean(values), f"{metric}_sd": statistics.stdev(values) if len(values) > 1 else 0.0}


def _learned(own: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give how the trainings went: rows learned from, parameters, epochs and best validation loss, their means."""
    return {
        "learned": own[0]["learned"],
        "parameters": own[0]["parameters"],
        "epochs": statistics.fmean(len(one["history"]) for one in own),
        "valid_loss": statistics.fmean(min(epoch["valid"] for epoch in one["history"]) for one in own),
    }


def _with_spread(found: Mapping[str, Any], metric: str) -> str:
    spread = f" ± {found[f'{metric}_sd']:.1f}" if found["runs"] > 1 else ""
    return f"{found[metric]:.1f}{spread}"
