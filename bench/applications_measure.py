"""What `applications.py` measures: how each way labels, chooses or translates the same rows, as plain records."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from applications_sets import NOTHING, ChoiceSet, LabelMaterial, LabelSet, with_options
from applications_simple import ChoiceRegression, Regression, most_frequent, most_frequent_place, similarities

import puna
from puna.answer.adapters import READERS, SHIPPED
from puna.answer.mixture import log_sum
from puna.answer.reader import Reader
from puna.errors import InputError
from puna.evaluate.choice import Choice, choose
from puna.evaluate.choice_rows import ChoiceRow
from puna.evaluate.rows import data_file, read_rows, sample
from puna.evaluate.texts import LabelRow
from puna.evaluate.translation import PairRow, TranslationRun, pair_row, scores_of
from puna.tasks.translate import Translator, Wanted
from puna.weights.write import write_whole

Record = dict[str, Any]
Report = Callable[[str, int, int], None]  # of what, rows done, all rows


def label_record(rows: Sequence[LabelRow], labels: Sequence[str], shares: np.ndarray, seconds: float) -> Record:
    """Keep what labels' probabilities [rows, labels] say of each row: the first label, and how sure."""
    known = [n for n, label in enumerate(labels) if label != NOTHING]
    nothing = [n for n, label in enumerate(labels) if label == NOTHING]
    first = shares.argmax(1)
    return {
        "right": [row.label for row in rows],
        "found": [labels[n] for n in first],
        "probability": [float(shares[row, n]) for row, n in enumerate(first)],
        "highest": shares[:, known].max(1).tolist(),
        "nothing": shares[:, nothing].sum(1).tolist(),
        "seconds": seconds,
    }


def majority(material: LabelMaterial) -> Record:
    """The label that is most frequent, for every row."""
    rows = [*material.known, *material.strange]
    shares = np.tile(most_frequent(material.learn, material.labels), (len(rows), 1))
    return label_record(rows, material.labels, shares, 0.0)


def regression(what: LabelSet, material: LabelMaterial) -> Record:
    """Logistic regression over tf-idf; learning is not timed."""
    rows = [*material.known, *material.strange]
    model = Regression(material.learn, material.labels, what.chinese)
    began = time.perf_counter()
    shares = model([row.text for row in rows])
    return label_record(rows, material.labels, shares, time.perf_counter() - began)


def labelled(reader: Reader, title: str, material: LabelMaterial, report: Report) -> Record:
    """Puna's labels. `mass`: log of the probability that any label at all follows the text (nats)."""
    rows = [*material.known, *material.strange]
    places = {label: n for n, label in enumerate(material.labels)}
    classifier = puna.Classifier(reader, material.labels)
    shares, mass = np.zeros((len(rows), len(places))), []
    began = time.perf_counter()
    for row, found in enumerate(classifier.each([row.text for row in rows])):
        for each in found.labels:
            shares[row, places[each.label]] = each.probability
        mass.append(log_sum([each.log_probability for each in found.labels if each.label != NOTHING]))
        report(title, row + 1, len(rows))
    seconds = time.perf_counter() - began
    return {**label_record(rows, material.labels, shares, seconds), "mass": mass}


def choice_record(rows: Sequence[ChoiceRow], shares: Sequence[Sequence[float]], seconds: float) -> Record:
    """Keep which candidate is first, and how sure; a row without shares could not be asked, and counts as wrong."""
    first = [max(range(len(each)), key=each.__getitem__) if each else -1 for each in shares]
    return {
        "right": [row.answer_index for row in rows],
        "found": first,
        "probability": [each[n] if each else 0.0 for each, n in zip(shares, first, strict=True)],
        "candidates": [len(row.candidates) for row in rows],
        "seconds": seconds,
    }


def simple_choices(what: ChoiceSet, rows: Sequence[ChoiceRow], learn: Sequence[ChoiceRow]) -> dict[str, Record]:
    """The most frequent place, of these rows themselves where none are to learn from; and by tf-idf."""
    found = {"place": choice_record(rows, most_frequent_place(learn or rows, rows), 0.0)}
    model = ChoiceRegression(learn, what.chinese) if learn else None
    began = time.perf_counter()
    shares = model(rows) if model else similarities(rows, what.chinese)
    if shares is not None:
        found["tfidf"] = choice_record(rows, shares, time.perf_counter() - began)
    return found


def scored(reader: Reader, title: str, rows: Sequence[ChoiceRow], report: Report) -> dict[str, Record]:
    """Choose by log-probability, by that over bytes, and by that minus the prior where all rows have one."""
    began = time.perf_counter()
    found = []
    for choice in choose(reader, rows):
        found.append(choice)
        report(title, len(found), len(rows))
    seconds = time.perf_counter() - began
    ways: dict[str, Callable[[Choice], Sequence[float]]] = {
        "sum": lambda one: one.log_probabilities,
        "byte": lambda one: [
            value / len(text.encode())
            for value, text in zip(one.log_probabilities, one.row.candidates, strict=False)
        ],
    }
    if all(one.priors is not None for one in found):
        ways["prior"] = lambda one: [a - b for a, b in zip(one.log_probabilities, one.priors or (), strict=True)]
    return {
        way: choice_record(rows, [_softmax(score(one)) for one in found], seconds) for way, score in ways.items()
    }


def judged(reader: Reader, title: str, rows: Sequence[ChoiceRow], report: Report, *, options: bool) -> Record:
    """Let a reader judge the candidates: the prior divided out, or with `options` as texts behind the context."""
    shares: list[list[float]] = []
    began = time.perf_counter()
    for row in rows:
        candidates = [" ".join(candidate.split()) for candidate in row.candidates]
        try:
            text, how = (with_options(row)[0], "sum") if options else (row.context or "", "prior")
            answers = reader.ask(row.question or "", text, candidates, top=len(candidates), normalise=how).answers
            values = {answer.text: answer.probability for answer in answers}
            total = sum(values.values()) or 1.0
            shares.append([values[candidate] / total for candidate in candidates])
        except InputError:  # two candidates are equal, or the question is too long for the model
            shares.append([])
        report(title, len(shares), len(rows))
    return choice_record(rows, shares, time.perf_counter() - began)


def train_labels(output: Path, material: LabelMaterial, options: Sequence[str]) -> None:
    """Train an adapter by `puna train classify`; what was stopped goes on."""
    rows, labels = output.with_name(output.name + ".jsonl"), output.with_name(output.name + ".labels.jsonl")
    write_rows(rows, [asdict(row) for row in material.learn])
    write_rows(labels, [{"label": label} for label in material.labels])
    _train("classify", output, [str(rows), "--labels", str(labels), *options])


def train_choices(output: Path, learn: Sequence[ChoiceRow], options: Sequence[str], shipped: bool) -> None:
    """Train a reader by `puna train reader` to tell the right option from the others, which its text holds too.

    It goes on from Puna's own reader, where the model is the one that this is for.
    """
    rows = []
    for number, row in enumerate(learn):
        text, starts = with_options(row)
        right = {"text": row.candidates[row.answer_index], "start": starts[row.answer_index]}
        wrong = [each for each in row.candidates if each != right["text"]]
        rows.append({"id": number, "context": text, "question": row.question, "answers": [right], "wrong": wrong})
    path = output.with_name(output.name + ".jsonl")
    write_rows(path, rows)
    own = next(READERS.glob("*/adapter_model.safetensors"), None) if shipped else None
    begin = ["--init", str(own.parent), "--rate", "2e-4"] if own else []
    _train("reader", output, [str(path), "--among", "1", *begin, *options])


def training_minutes(output: Path) -> float:
    """Give how long a training took, by its log."""
    lines = output.with_name(output.name + ".training").joinpath("log.jsonl").read_text("utf-8").splitlines()
    return sum(json.loads(line).get("seconds", 0.0) for line in lines) / 60


def translated(
    model: str | None, adapter: str | None, rows: Sequence[PairRow], title: str, report: Report
) -> Record | None:
    """Translate by four beams; None where there is no adapter of this name for the model."""
    reader = puna.load(model, adapter=adapter)
    if adapter is not None and reader.examples:
        return None
    translator = Translator(reader.model, reader.tokenizer, reader.name, examples=reader.examples)
    run = TranslationRun(rows, Wanted(), 8)
    run.go(translator, lambda done: report(title, done, len(rows)))
    scores = next(iter(run.summary().directions.values()))
    texts = [{"source": each.row.source, "text": each.text} for each in run.done]
    return {**asdict(scores), "seconds": run.seconds, "model": reader.name, "texts": texts}


def untranslated(rows: Sequence[PairRow]) -> Record:
    """Score the sources as if they were translations."""
    return asdict(scores_of([row.source for row in rows], [row.targets for row in rows], rows[0].target_language))


def pairs(work: Path, name: str, limit: int) -> list[PairRow]:
    """Draw rows of a translation set; those of Tatoeba as the translator's training keeps them back."""
    if not name.startswith("tatoeba"):
        path = data_file(f"{name}/test")
    else:
        folder = work / "tatoeba"
        path = folder / f"test-{name[-5:].replace('_', '-')}.jsonl"
        if not folder.exists():
            script = Path(__file__).parents[1] / "train" / "prepare_translation.py"
            part = folder.with_name("tatoeba.part")
            subprocess.run([sys.executable, str(script), str(part)], check=True, stdout=sys.stderr)
            part.replace(folder)
    return sample(read_rows(path, pair_row), limit)


def loaded(model: str | None, adapter: Path | None) -> Reader:
    """Load a model with an adapter, or as it is."""
    return puna.load(model, adapter=adapter)


def shipped_reader(model: str | None) -> Reader | None:
    """Load a model with Puna's own reader; None where there is none for it."""
    reader = puna.load(model, adapter=SHIPPED)
    return None if reader.plain is reader else reader


def write_rows(path: Path, rows: Sequence[Record]) -> None:
    """Write JSON Lines, whole or not at all."""
    write_whole(path, b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))


def _train(kind: str, output: Path, options: Sequence[str]) -> None:
    if output.exists():
        return
    command = [sys.executable, "-m", "puna.cli.main", "train", kind, *options, "-o", str(output)]
    done = subprocess.run(command, check=False, stdout=sys.stderr)
    if done.returncode:
        sys.exit(done.returncode)


def _softmax(values: Sequence[float]) -> list[float]:
    return [] if not values else [float(np.exp(value - log_sum(list(values)))) for value in values]
