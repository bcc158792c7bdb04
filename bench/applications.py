"""Labels, multiple choice and translation on public sets, untrained and trained, beside methods that need no model.

    python bench/applications.py WORK --markdown docs/applications.md

Needs the default model (`puna pull`), PUNA_DATA, scikit-learn and sacrebleu. Everything is kept in WORK as it is done, a
file for each set and method, trainings with their checkpoints; the same command goes on from there. Other settings take
other files. The page is written in English, and in Chinese beside it (.zh.md).
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import applications_measure as measure
import torch
from applications_page import page
from applications_sets import CHOICES, LABELS, TRANSLATIONS, choice_material, label_material

from puna.answer.adapters import TRANSLATOR
from puna.answer.reader import Reader
from puna.bench.machine import machine
from puna.errors import PunaError
from puna.weights.write import write_whole

REVISION = 1  # raise it when what is measured changes: what was kept is then measured anew
Record = dict[str, Any]


class Kept:
    """What was measured, in a folder: a file for each set, method and settings."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self._settings = folder, settings
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str, **more: object) -> Path:
        """Where something stands, without a suffix; its name holds a digest of all that decides it."""
        said = json.dumps({"revision": REVISION, **self._settings, **more}, sort_keys=True)
        return self.folder / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"

    def get(self, name: str, make: Callable[[], Record | None], **more: object) -> Record | None:
        """Give what is kept, else make it and keep it; None where there is nothing to make."""
        stem = self.path(name, **more)
        path = stem.with_name(f"{stem.name}.json")
        if path.exists():
            found: Record = json.loads(path.read_text("utf-8"))
            return found
        record = make()
        if record is not None:
            write_whole(path, json.dumps(record, ensure_ascii=False).encode())
        return record


class Readers:
    """Loads each reader once, and only where something is left to measure."""

    def __init__(self, model: str | None) -> None:
        self._model = model
        self._plain: Reader | None = None

    @property
    def plain(self) -> Reader:
        """The model as it is."""
        if self._plain is None:
            self._plain = measure.loaded(self._model, None)
        return self._plain


def labels(name: str, kept: Kept, readers: Readers, given: argparse.Namespace) -> dict[str, Record]:
    """Measure a set of labelled texts."""
    what = LABELS[name]
    material = label_material(what, given.limit, given.train_rows)
    both = {"limit": given.limit, "learn": given.train_rows}

    def tuned() -> Record:
        folder = kept.path(f"{name}.trained", learn=given.train_rows, epochs=given.epochs)
        measure.train_labels(folder, material, options(given))
        found = measure.labelled(measure.loaded(given.model, folder), what.title, material, show)
        return {**found, "minutes": measure.training_minutes(folder)}

    makers: dict[str, tuple[Callable[[], Record], Mapping[str, object]]] = {
        "majority": (lambda: measure.majority(material), both),
        "tfidf": (lambda: measure.regression(what, material), both),
        "untuned": (lambda: measure.labelled(readers.plain, what.title, material, show), {"limit": given.limit}),
    }
    if not given.untrained:
        makers["tuned"] = (tuned, {**both, "epochs": given.epochs})
    found: dict[str, Record] = {}
    for method, (make, settings) in makers.items():
        if record := kept.get(f"{name}.{method}", make, **settings):
            learned = 0 if method == "untuned" else len(material.learn)
            found[method] = {**record, "labels": material.labels, "learned": learned}
    return found


def choices(name: str, kept: Kept, readers: Readers, given: argparse.Namespace) -> dict[str, Record]:
    """Measure a set of multiple choice."""
    what = CHOICES[name]
    rows, learn = choice_material(what, given.limit, given.train_rows)
    found: dict[str, Record] = {}
    both = {"limit": given.limit, **({"learn": given.train_rows} if learn else {})}
    found |= kept.get(f"{name}.simple", lambda: measure.simple_choices(what, rows, learn), **both) or {}
    untuned = kept.get(
        f"{name}.untuned", lambda: measure.scored(readers.plain, what.title, rows, show), limit=given.limit
    )
    found |= untuned or {}
    if not learn:
        return found

    def shipped(options: bool) -> Record | None:
        reader = measure.shipped_reader(given.model)
        return measure.judged(reader, what.title, rows, show, options=options) if reader else None

    def tuned() -> Record:
        folder = kept.path(f"{name}.trained", learn=given.train_rows, epochs=given.epochs)
        measure.train_choices(folder, learn, options(given), shipped=given.model is None)
        record = measure.judged(measure.loaded(given.model, folder), what.title, rows, show, options=True)
        return {**record, "minutes": measure.training_minutes(folder)}

    for method, inside in (("reader", False), ("options", True)):
        if record := kept.get(f"{name}.{method}", lambda inside=inside: shipped(inside), limit=given.limit):
            found[method] = record
    if not given.untrained and (record := kept.get(f"{name}.tuned", tuned, **both, epochs=given.epochs)):
        found["tuned"] = {**record, "learned": len(learn)}
    return found


def translations(name: str, kept: Kept, readers: Readers, given: argparse.Namespace) -> dict[str, Record]:
    """Measure a set of translations: the source itself, the model as it is, a translator."""
    title, limit = TRANSLATIONS[name], min(given.limit, given.translations)
    rows = measure.pairs(kept.folder, name, limit)
    makers: dict[str, tuple[Callable[[], Record | None], Mapping[str, object]]] = {
        "source": (lambda: measure.untranslated(rows), {}),
        "untuned": (lambda: measure.translated(given.model, None, rows, title, show), {}),
        "translator": (
            lambda: measure.translated(given.model, given.translator, rows, title, show),
            {"adapter": given.translator},
        ),
    }
    found = {
        method: kept.get(f"{name}.{method}", make, limit=limit, **more) for method, (make, more) in makers.items()
    }
    return {method: record for method, record in found.items() if record is not None}


def options(given: argparse.Namespace) -> list[str]:
    """Give the options of a training."""
    return ["--epochs", f"{given.epochs:g}", *(["--model", given.model] if given.model else [])]


def show(title: str, done: int, every: int) -> None:
    """Say how far a set is, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{title}: {done} of {every} ", end="\n" if done == every else "", file=sys.stderr, flush=True)


KINDS = {"labels": (LABELS, labels), "choices": (CHOICES, choices), "translations": (TRANSLATIONS, translations)}
SETS = [name for sets, _ in KINDS.values() for name in sets]


def wanted(value: str) -> list[str]:
    """Take names of sets with commas between."""
    names = [name.strip() for name in value.split(",")]
    if unknown := [name for name in names if name not in SETS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(SETS)}")
    return names


def command(given: argparse.Namespace, default: argparse.Namespace) -> str:
    """Give the command that measures this again."""
    parts = ["python bench/applications.py WORK"]
    values = {name: getattr(given, name) for name in ("limit", "translations", "train_rows", "epochs", "untrained")}
    parts += [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {value:g}")
        for name, value in values.items()
        if value != getattr(default, name)
    ]
    if given.sets != SETS:
        parts.append(f"--sets {','.join(given.sets)}")
    return " ".join([*parts, "--markdown docs/applications.md"])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the folder in which all is kept")
    parser.add_argument("--limit", type=int, default=300, help="rows of each set")
    parser.add_argument("--translations", type=int, default=100, help="rows of each translation set")
    parser.add_argument("--sets", type=wanted, default=SETS, help=f"of {', '.join(SETS)}; commas between")
    parser.add_argument("--train-rows", type=int, default=3000, help="rows of each set to learn from")
    parser.add_argument("--epochs", type=float, default=1.0, help="passes over them")
    parser.add_argument("--untrained", action="store_true", help="train nothing")
    parser.add_argument("--translator", default=TRANSLATOR, help="a translator's adapter instead of Puna's own")
    parser.add_argument("--model", help="another model than the default one")
    parser.add_argument("--markdown", type=Path, help="write the page to this file, and to NAME.zh.md")
    given = parser.parse_args()
    default = parser.parse_args([str(given.work)])
    kept, readers = Kept(given.work, {"model": given.model}), Readers(given.model)
    try:
        results = {
            kind: {name: measured(name, kept, readers, given) for name in sets if name in given.sets}
            for kind, (sets, measured) in KINDS.items()
        }
    except PunaError as error:
        print("error: {}\nhint: {}".format(*error.describe()), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    write(results, given, command(given, default))


def write(results: Mapping[str, Any], given: argparse.Namespace, said: str) -> None:
    """Print the page, and write it in both languages."""
    facts = {
        **machine(torch.get_num_threads()),
        "command": said,
        "torch": torch.__version__,
        "model": f"`{Path(given.model).name}`" if given.model else "SmolLM2-135M-Instruct (Q4_1)",
        "epochs": given.epochs,
        "learn": given.train_rows,
    }
    pages: Sequence[str] = [page(results, facts, language) for language in ("en", "zh")]
    print(pages[0])
    if given.markdown:
        for path, text in zip((given.markdown, given.markdown.with_suffix(".zh.md")), pages, strict=True):
            write_whole(path, text.encode())


if __name__ == "__main__":
    main()
