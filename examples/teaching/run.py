"""Multiple choice as in school: Chinese reading (C3) with the sentences that decide, and science (ARC) without a text.

    python examples/teaching/run.py --limit 50

Needs the default model (`puna pull`) and PUNA_DATA, the folder with c3/ and arc_easy/.
"""

import argparse
import math
import sys
from pathlib import Path
from statistics import fmean

import puna
from puna.answer.types import Answers
from puna.evaluate.choice import Choice, best, choose
from puna.evaluate.choice_rows import ChoiceRow, choice_row
from puna.evaluate.rows import data_file, read_rows, sample
from puna.weights.write import write_whole

SHOWN = 3  # questions of each kind that are printed


def question(row: ChoiceRow, shares: list[float]) -> None:
    """Print a question and its options, the most probable first."""
    print(f"\n{row.question}")
    for n in sorted(range(len(shares)), key=lambda n: -shares[n]):
        mark = "  <- right" if n == row.answer_index else ""
        print(f"  {100 * shares[n]:5.1f} %  {row.candidates[n]}{mark}")


def read(reader: puna.Reader, row: ChoiceRow, *, why: bool) -> tuple[list[float], Answers]:
    """Judge the options of a question about a text; give their shares, and all that is known of the answers.

    With the prior divided out: what an option gets without the text says how common its words are.
    """
    names = [" ".join(candidate.split()) for candidate in row.candidates]
    text = row.context or ""
    answers = reader.ask(row.question or "", text, names, top=len(names), normalise="prior", why=why)
    values = {answer.text: answer.probability for answer in answers}
    total = sum(values.values()) or 1.0
    return [values[name] / total for name in names], answers


def known(choice: Choice) -> list[float]:
    """Give the shares of the options of a question without a text, by log-probability over bytes."""
    sizes = [len(text.encode()) for text in choice.row.candidates]
    values = [value / size for value, size in zip(choice.log_probabilities, sizes, strict=True)]
    weights = [math.exp(value - max(values)) for value in values]
    return [weight / sum(weights) for weight in weights]


def measured(title: str, rows: list[ChoiceRow], shares: list[list[float]]) -> list[str]:
    """Give what came of it, a line each."""
    right = [best(each) == row.answer_index for row, each in zip(rows, shares, strict=True)]
    sure = sorted(range(len(rows)), key=lambda n: -max(shares[n]))[: max(1, len(rows) // 2)]
    chance = fmean(1 / len(row.candidates) for row in rows)

    def percent(values: list[bool]) -> str:
        share = fmean(values)
        return f"{100 * share:.1f} % ± {100 * math.sqrt(share * (1 - share) / len(values)):.1f}"

    return [
        f"{title}: {percent(right)} of {len(rows)} questions right; drawing lots: {100 * chance:.1f} %",
        f"{title}, the surest half: {percent([right[n] for n in sure])}",
    ]


def main() -> None:
    """Ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=50, help="questions of each set, drawn with a fixed seed")
    parser.add_argument("--adapter", default="shipped", help="another reader than the one that comes with Puna")
    parser.add_argument("--markdown", type=Path, help="write what was measured to this file")
    given = parser.parse_args()
    chinese = [
        row
        for row in sample(read_rows(data_file("c3/test"), choice_row), given.limit)
        if len({" ".join(text.split()) for text in row.candidates}) == len(row.candidates)
    ]
    science = sample(read_rows(data_file("arc_easy/test"), choice_row), given.limit)
    reader = puna.load(adapter=given.adapter)
    shares = []
    print("Reading (C3): the options as candidates, and the sentences that carry the first one")
    for number, row in enumerate(chinese):
        each, answers = read(reader, row, why=number < SHOWN)
        shares.append(each)
        if number < SHOWN:
            question(row, each)
            for support in (answers.answers[0].why or ())[:2]:
                print(f"           {support.loss:+.2f} nats: {' '.join(support.sentence.text.split())}")
    print("\nScience (ARC easy): what the model knows, without a text")
    choices = [known(choice) for choice in choose(reader, science, priors=False)]
    for row, each in list(zip(science, choices, strict=True))[:SHOWN]:
        question(row, each)
    lines = [*measured("C3", chinese, shares), *measured("ARC easy", science, choices)]
    lines = [f"- {line}" for line in lines]
    print("\nMeasured", *lines, sep="\n")
    if given.markdown:
        about = f"Written by `examples/teaching/run.py --limit {given.limit}`; {reader.name}."
        write_whole(given.markdown, "\n".join(["# Measured", "", about, "", *lines, ""]).encode())


if __name__ == "__main__":
    try:
        main()
    except puna.PunaError as error:
        print("error: {}\nhint: {}".format(*error.describe()), file=sys.stderr)
        sys.exit(2)
