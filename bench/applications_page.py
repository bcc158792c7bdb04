"""The page of `applications.py`, in English and Chinese, from what was kept."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from applications_sets import CHOICES, LABELS, NOTHING, TRANSLATIONS
from applications_words import WORDS
from sklearn.metrics import f1_score

from puna.evaluate.reliability import auroc, calibration_error

Record = dict[str, Any]
SIMPLE = ("majority", "tfidf")
CLEAR = 2  # standard errors from which a difference is called one


def rights(record: Record) -> list[bool]:
    """Tell of each row whether the first label or candidate is right; rows that no label fits are left out."""
    pairs = zip(record["right"], record["found"], strict=True)
    return [right == found for right, found in pairs if right != NOTHING]


def percent(values: Sequence[bool]) -> str:
    """Give a share in percent with its standard error."""
    share = fmean(values)
    return f"{100 * share:.1f} ± {100 * math.sqrt(share * (1 - share) / len(values)):.1f}"


def verdict(ours: Sequence[bool], theirs: Sequence[bool]) -> str:
    """Compare on the same rows: "better", "equal" within two standard errors of the mean difference, or "worse"."""
    moved = [float(a) - float(b) for a, b in zip(ours, theirs, strict=True)]
    mean = fmean(moved)
    error = stdev(moved) / math.sqrt(len(moved)) if len(moved) > 1 else 0.0
    if abs(mean) <= CLEAR * error or mean == 0:
        return "equal"
    return "better" if mean > 0 else "worse"


def spread(area: float, positive: int, negative: int) -> float:
    """Standard error of an AUROC (Hanley & McNeil 1982)."""
    one, two = area / (2 - area), 2 * area * area / (1 + area)
    sums = area * (1 - area) + (positive - 1) * (one - area * area) + (negative - 1) * (two - area * area)
    return math.sqrt(max(sums, 0.0) / (positive * negative))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def speed(record: Record, count: int) -> str:
    """Give rows a second; of what takes no time to speak of, nothing."""
    seconds = record["seconds"]
    if not seconds:
        return "–"
    return f"{count / seconds:,.0f}" if count > 100 * seconds else f"{count / seconds:.3g}"


def best_of(records: Mapping[str, Record], names: Sequence[str]) -> str:
    """Give the name of those that there are whose accuracy is highest."""
    return max((name for name in names if name in records), key=lambda name: fmean(rights(records[name])))


def label_rows(words: Mapping[str, str], found: Mapping[str, Mapping[str, Record]]) -> list[list[str]]:
    """Write the rows of the table of labels."""
    rows = []
    for name, records in found.items():
        simple = best_of(records, SIMPLE)
        first = best_of(records, list(records))
        for method, record in records.items():
            mine = rights(record)
            known = [n for n, right in enumerate(record["right"]) if right != NOTHING]
            right, given = ([record[key][n] for n in known] for key in ("right", "found"))
            macro = f1_score(right, given, labels=sorted(set(right)), average="macro", zero_division=0)
            sure = calibration_error([record["probability"][n] for n in known], mine)
            accuracy = f"**{percent(mine)}**" if method == first else percent(mine)
            judgement = "" if method in SIMPLE else words[verdict(mine, rights(records[simple]))]
            minutes = words["minutes"].format(minutes=record["minutes"]) if "minutes" in record else ""
            rows.append(
                [
                    LABELS[name].title,
                    str(sum(label != NOTHING for label in record["labels"])),
                    str(len(mine)),
                    f"{record['learned']:,}" if record["learned"] else "–",
                    words[method] + minutes,
                    accuracy,
                    f"{100 * macro:.1f}",
                    f"{sure:.3f}",
                    speed(record, len(record["right"])),
                    judgement,
                ]
            )
    return rows


def strange_rows(words: Mapping[str, str], records: Mapping[str, Record]) -> list[list[str]]:
    """Write how rows that no label fits are told from the others."""
    rows = []
    for method, record in records.items():
        strange = [right == NOTHING for right in record["right"]]
        taken = [found == NOTHING for found in record["found"]]
        told = [each for each, is_strange in zip(taken, strange, strict=True) if is_strange]
        wrongly = [each for each, is_strange in zip(taken, strange, strict=True) if not is_strange]
        areas = []
        for key, sign in (("nothing", 1), ("highest", -1), ("mass", -1)):
            area = auroc([sign * value for value in record[key]], strange) if key in record else None
            error = "" if area is None else f" ± {spread(area, len(told), len(wrongly)):.3f}"
            areas.append("–" if area is None else f"{area:.3f}{error}")
        rows.append([words[method], percent(rights(record)), percent(told), percent(wrongly), *areas])
    return rows


def choice_rows(words: Mapping[str, str], found: Mapping[str, Mapping[str, Record]]) -> list[list[str]]:
    """Write the rows of the table of multiple choice."""
    rows = []
    ours, theirs = ("sum", "byte", "prior"), ("place", "tfidf")
    for name, records in found.items():
        first = best_of(records, (*theirs, *ours))
        cells = {}
        for method in (*theirs, *ours):
            text = percent(rights(records[method])) if method in records else "–"
            cells[method] = f"**{text}**" if method == first else text
        record = records["sum"]
        judgement = verdict(rights(records[best_of(records, ours)]), rights(records[best_of(records, theirs)]))
        rows.append(
            [
                CHOICES[name].title,
                str(len(record["right"])),
                f"{100 * fmean(1 / count for count in record['candidates']):.1f}",
                *cells.values(),
                f"{calibration_error(record['probability'], rights(record)):.3f}",
                speed(record, len(record["right"])),
                words[judgement],
            ]
        )
    return rows


def reader_rows(words: Mapping[str, str], records: Mapping[str, Record]) -> list[list[str]]:
    """Write what readers choose that find the options in their text."""
    simple = rights(records[best_of(records, ("place", "tfidf"))])
    rows = []
    for method in ("reader", "options", "tuned"):
        if method in records:
            record = records[method]
            minutes = words["minutes"].format(minutes=record["minutes"]) if "minutes" in record else ""
            mine = rights(record)
            rows.append(
                [
                    words[f"c3-{method}"] + minutes,
                    f"{record['learned']:,}" if record.get("learned") else "–",
                    percent(mine),
                    f"{calibration_error(record['probability'], mine):.3f}",
                    speed(record, len(mine)),
                    words[verdict(mine, simple)],
                ]
            )
    return rows


def translation_rows(found: Mapping[str, Mapping[str, Record]]) -> list[list[str]]:
    """Write BLEU and chrF of every way; the highest of each in bold."""
    rows = []
    for name, records in found.items():
        cells = []
        for method in ("source", "untuned", "translator"):
            for metric in ("bleu", "chrf"):
                if method not in records:
                    cells.append("–")
                    continue
                highest = max(record[metric] for record in records.values())
                value = records[method][metric]
                cells.append(f"**{value:.1f}**" if value == highest > 0 else f"{value:.1f}")
        last = records.get("translator", records["untuned"])
        rows.append([TRANSLATIONS[name], str(last["n"]), *cells, speed(last, last["n"])])
    return rows


def page(results: Mapping[str, Mapping[str, Mapping[str, Record]]], facts: Mapping[str, Any], language: str) -> str:
    """Write the page: `results` by kind, set and method; `facts`: how they came about."""
    words = WORDS[language]
    lines = [f"# {words['title']}", "", words["other"], "", words["written"].format(**facts), "", words["read"], ""]
    if labels := results["labels"]:
        lines += [f"## {words['labels']}", "", words["labels-text"].format(**facts), ""]
        lines += table(words["labels-heads"].split("|"), label_rows(words, labels))
        for name, records in labels.items():
            if LABELS[name].unknown:
                strange = sum(right == NOTHING for right in records["majority"]["right"])
                lines += [f"## {words['strange']}", "", words["strange-text"].format(count=strange), ""]
                lines += table(words["strange-heads"].split("|"), strange_rows(words, records))
    if choices := results["choices"]:
        lines += [f"## {words['choices']}", "", words["choices-text"], ""]
        lines += table(words["choices-heads"].split("|"), choice_rows(words, choices))
        for name, records in choices.items():
            if rows := reader_rows(words, records):
                title = CHOICES[name].title
                lines += [
                    f"### {words['reader-title'].format(set=title)}",
                    "",
                    words["reader-text"].format(**facts),
                ]
                lines += ["", *table(words["reader-heads"].split("|"), rows)]
    if translations := results["translations"]:
        names = {records["translator"]["model"] for records in translations.values() if "translator" in records}
        said = (
            words["translator-used"].format(names=", ".join(sorted(names))) if names else words["translator-none"]
        )
        lines += [f"## {words['translations']}", "", f"{words['translations-text']} {said}", ""]
        lines += table(words["translations-heads"].split("|"), translation_rows(translations))
    return "\n".join(lines)
