"""Questions about medical papers (COVID-QA), answered with the place; and yes, no or maybe by an abstract (PubMedQA).

    python examples/medicine/run.py --limit 20

Needs the default model (`puna pull`) and PUNA_DATA, the folder with covid_qa/ and pubmedqa/. This shows how a program
finds places in papers. It is no medical advice, and its answers are often wrong.
"""

import argparse
import math
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import puna
from puna.answer.types import Answers, Source
from puna.evaluate.choice import best, choose
from puna.evaluate.choice_rows import ChoiceRow, choice_row
from puna.evaluate.metrics import exact_match_and_f1
from puna.evaluate.rows import data_file, read_rows, sample
from puna.tasks.rows import Fields
from puna.weights.write import write_whole

SHOWN = 3  # questions that are printed
WARNING = (
    "This is no medical advice: the answers are a small model's, and often wrong. Read the paper; ask a doctor."
)


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A question about a paper, with its answers and where in the paper they begin."""

    paper: str
    question: str
    answers: tuple[tuple[str, int], ...]


def paper(row: Fields) -> tuple[str, Source]:
    """Parse `{doc_id, title, text}`."""
    return row.text("doc_id"), Source(row.text("title"), row.text("text"))


def paper_row(row: Fields) -> PaperRow:
    """Parse `{doc_id, question, answers: [{text, start}]}`."""
    answers = tuple((each.text("text"), each.integer("start")) for each in row.objects("answers"))
    return PaperRow(row.text("doc_id"), row.text("question"), answers)


def show(row: PaperRow, source: Source, answers: Answers) -> None:
    """Print a question, the first answer with its sentence and place, and the right one."""
    print(f"\n{row.question}\n  {source.name}")
    first = answers.answers[0]
    print(f"  {100 * first.probability:5.1f} %  {first.text}")
    for place in first.evidence[:1]:
        print(f"           line {place.line}, {place.start}-{place.end}: {' '.join(place.sentence.text.split())}")
    print(f"  {100 * answers.no_answer_probability:5.1f} %  (not in the paper)")
    print(f"  the authors of the question: {' '.join(row.answers[0][0].split())}")


def touches(row: PaperRow, answers: Answers) -> bool:
    """Tell whether one of the first answers overlaps a right one in the paper."""
    return any(
        place.start < start + len(text) and start < place.end
        for answer in answers
        for place in answer.evidence
        for text, start in row.answers
    )


def papers(reader: puna.Reader, sources: dict[str, Source], rows: list[PaperRow]) -> list[str]:
    """Ask questions about papers; those about one paper follow each other, so that it is read once."""
    scores: list[tuple[float, float]] = []
    found: list[bool] = []
    for number, row in enumerate(rows):
        source = sources[row.paper]
        answers = reader.ask(row.question, source)
        if number < SHOWN:
            show(row, source, answers)
        texts = [text for text, _ in row.answers]
        scores.append(exact_match_and_f1(row.question, answers.answers[0].text, texts))
        found.append(touches(row, answers))
    em, f1 = (100 * fmean(values) for values in zip(*scores, strict=True))
    size = fmean(len(sources[row.paper].text) for row in rows)
    return [
        f"COVID-QA, {len(rows)} questions, papers of {size:,.0f} characters: exact match {em:.1f} %, F1 {f1:.1f}",
        f"one of the first five answers overlaps the right place: {percent(found)}",
    ]


def abstracts(reader: puna.Reader, rows: list[ChoiceRow]) -> list[str]:
    """Answer yes, no or maybe by abstracts, as `puna eval choice` does with the prior divided out."""
    right = []
    for choice in choose(reader, rows):
        pairs = zip(choice.log_probabilities, choice.priors or (), strict=True)
        chosen = best([value - prior for value, prior in pairs])
        right.append(chosen == choice.row.answer_index)
        if len(right) <= SHOWN:
            names = choice.row.candidates
            print(f"\n{choice.row.question}\n  {names[chosen]}; right: {names[choice.row.answer_index]}")
    often = Counter(row.candidates[row.answer_index] for row in rows).most_common(1)[0]
    always = f"always {often[0]!r}: {100 * often[1] / len(rows):.1f} %"
    return [f"PubMedQA, {len(rows)} questions: {percent(right)} right; {always}"]


def percent(values: list[bool]) -> str:
    """Give a share with its standard error."""
    share = fmean(values)
    return f"{100 * share:.1f} % ± {100 * math.sqrt(share * (1 - share) / len(values)):.1f}"


def main() -> None:
    """Ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=20, help="questions about papers, drawn with a fixed seed")
    parser.add_argument("--abstracts", type=int, default=100, help="questions about abstracts")
    parser.add_argument("--adapter", default="shipped", help="another reader than the one that comes with Puna")
    parser.add_argument("--markdown", type=Path, help="write what was measured to this file")
    given = parser.parse_args()
    sources = dict(read_rows(data_file("covid_qa/docs"), paper))
    asked = sorted(sample(read_rows(data_file("covid_qa/qa"), paper_row), given.limit), key=lambda row: row.paper)
    judged = sample(read_rows(data_file("pubmedqa/test"), choice_row), given.abstracts)
    reader = puna.load(adapter=given.adapter)
    print(WARNING)
    lines = [f"- {line}" for line in (*papers(reader, sources, asked), *abstracts(reader, judged))]
    print("\nMeasured", *lines, sep="\n")
    print(f"\n{WARNING}")
    if given.markdown:
        about = f"Written by `examples/medicine/run.py --limit {given.limit}`; {reader.name}. {WARNING}"
        write_whole(given.markdown, "\n".join(["# Measured", "", about, "", *lines, ""]).encode())


if __name__ == "__main__":
    try:
        main()
    except puna.PunaError as error:
        print("error: {}\nhint: {}".format(*error.describe()), file=sys.stderr)
        sys.exit(2)
