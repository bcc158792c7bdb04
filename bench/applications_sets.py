"""The data sets of `applications.py`: rows to measure on and rows to learn from, drawn with a fixed seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from puna.evaluate.choice_rows import ChoiceRow, choice_row
from puna.evaluate.rows import data_file, read_rows, sample
from puna.evaluate.texts import LabelRow, labelled_rows

SEED = 0
HALVES = 1  # seed by which a set without rows to learn from is parted


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Texts with labels; learn: the file to learn from, None where half of `test` is. unknown: of texts that fit none."""

    title: str
    test: str
    learn: str | None
    chinese: bool = False
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class ChoiceSet:
    """Multiple choice; learn: the file to learn from, None where there is none."""

    title: str
    test: str
    learn: str | None = None
    chinese: bool = False


@dataclass(frozen=True, slots=True)
class LabelMaterial:
    """labels: all of the set. known: rows whose label is one of them; strange: rows that none fits; learn: both kinds."""

    labels: tuple[str, ...]
    known: list[LabelRow]
    strange: list[LabelRow]
    learn: list[LabelRow]


NOTHING = "none of these"  # the label of texts that none of the others fits
LABELS = {
    "sst2": LabelSet("SST-2", "sst2/dev", "sst2/train"),
    "chnsenticorp": LabelSet("ChnSentiCorp", "chnsenticorp/dev", "chnsenticorp/train", chinese=True),
    "ag_news": LabelSet("AG News", "ag_news/test", None),
    "thucnews": LabelSet("THUCNews", "thucnews/test", "thucnews/dev", chinese=True),
    "banking77": LabelSet("BANKING77", "banking77/test", "banking77/train"),
    "clinc150": LabelSet("CLINC150", "clinc150/test", "clinc150/train", unknown="oos"),
}
CHOICES = {
    "c3": ChoiceSet("C3", "c3/test", "c3/train", chinese=True),
    "arc_easy": ChoiceSet("ARC easy", "arc_easy/test"),
    "arc_challenge": ChoiceSet("ARC challenge", "arc_challenge/test"),
    "openbookqa": ChoiceSet("OpenBookQA", "openbookqa/test"),
    "boolq": ChoiceSet("BoolQ", "boolq/val"),
    "copa": ChoiceSet("COPA", "copa/val"),
    "winogrande": ChoiceSet("WinoGrande", "winogrande/val"),
}
TRANSLATIONS = {
    "tatoeba_en_zh": "Tatoeba en → zh",
    "tatoeba_zh_en": "Tatoeba zh → en",
    "wmt22_en_zh": "WMT22 en → zh",
    "wmt22_zh_en": "WMT22 zh → en",
}


def label_material(what: LabelSet, limit: int, most: int) -> LabelMaterial:
    """Draw `limit` rows of each kind to measure on, and at most `most` to learn from, one in twenty of them strange.

    Texts that the set to measure on has too are not learned from. Labels are read as words: underscores are spaces.
    """
    test = _named(what.test, what.unknown)
    if what.learn is None:
        chosen = set(sample(range(len(test)), len(test) // 2, HALVES))
        learn = [row for n, row in enumerate(test) if n in chosen]
        test = [row for n, row in enumerate(test) if n not in chosen]
    else:
        learn = _named(what.learn, what.unknown)
    labels = tuple(sorted({row.label for row in (*test, *learn)}))
    known, strange = _parted(test)
    seen = {row.text for row in test}
    ours, others = _parted([row for row in learn if row.text not in seen])
    others = sample(others, max(1, most // 20), SEED)
    return LabelMaterial(
        labels,
        sample(known, limit, SEED),
        sample(strange, limit, SEED),
        [*sample(ours, most - len(others), SEED), *others],
    )


def choice_material(what: ChoiceSet, limit: int, most: int) -> tuple[list[ChoiceRow], list[ChoiceRow]]:
    """Draw rows to measure on, and rows to learn from, where there are any."""
    test = sample(read_rows(data_file(what.test), choice_row), limit, SEED)
    learn = sample(read_rows(data_file(what.learn), choice_row), most, SEED) if what.learn else []
    return test, learn


def with_options(row: ChoiceRow) -> tuple[str, list[int]]:
    """Give a text that holds the candidates, each on a line behind the context, and where each begins."""
    text, starts = f"{row.context}\n选项：" if row.context else "选项：", []
    for candidate in row.candidates:
        text += "\n"
        starts.append(len(text))
        text += candidate
    return text, starts


def _named(name: str, unknown: str | None) -> list[LabelRow]:
    rows, _ = labelled_rows(data_file(name), ())
    return [replace(row, label=NOTHING if row.label == unknown else row.label.replace("_", " ")) for row in rows]


def _parted(rows: Sequence[LabelRow]) -> tuple[list[LabelRow], list[LabelRow]]:
    return [row for row in rows if row.label != NOTHING], [row for row in rows if row.label == NOTHING]
