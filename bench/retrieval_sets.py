"""The library and the questions of `retrieval.py`: the contexts of five data sets, each once, in passages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from puna.evaluate.rows import Fields, data_file, placed_answers, read_rows, sample
from puna.library.passages import passages
from puna.library.segment import simplified
from puna.library.types import Document, Passage

SETS = {
    "SQuAD": ("squad11/dev_a", "squad11/train_sample"),
    "CMRC": ("cmrc2018/dev_a", "cmrc2018/trial", "cmrc2018/train"),
    "DRCD": ("drcd/dev", "drcd/test"),
    "DuReader": ("dureader_robust/dev",),
}
PAPERS = "COVID-QA"
FOLDED = "DRCD, asked in simplified characters"
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a data set; its answers stand at document.text[start:end]."""

    data: str
    text: str
    document: int
    answers: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file; `source`: its context, or the id of its document."""

    source: str
    question: str
    answers: tuple[Place, ...]


def read_sets() -> tuple[list[str], list[Question]]:
    """Give the texts, none twice, and all questions about them."""
    texts: dict[str, int] = {}
    questions: list[Question] = []
    for data, names in SETS.items():
        rows = [row for name in names for row in read_rows(data_file(name), _row) if row.answers]
        places = (texts.setdefault(row.source, len(texts)) for row in rows)
        questions += [Question(data, row.question, at, row.answers) for row, at in zip(rows, places, strict=True)]
    papers = dict(read_rows(data_file("covid_qa/docs"), lambda row: (row.text("doc_id"), row.text("text"))))
    for row in read_rows(data_file("covid_qa/qa"), _paper_row):
        document = texts.setdefault(papers[row.source], len(texts))
        questions.append(Question(PAPERS, row.question, document, row.answers))
    plain = str.maketrans(simplified())
    drcd = [question for question in questions if question.data == "DRCD"]
    questions += [replace(each, data=FOLDED, text=each.text.translate(plain)) for each in drcd]
    return list(texts), questions


def drawn(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """Draw so many questions of each data set, the same ones each time."""
    names = dict.fromkeys(question.data for question in questions)
    return [each for name in names for each in sample([q for q in questions if q.data == name], limit)]


class Library:
    """Texts, and their passages of several sizes."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._cut: dict[tuple[int, int], list[list[Passage]]] = {}

    def cut(self, size: int, overlap: int) -> list[list[Passage]]:
        """Give the passages of each text."""
        if (size, overlap) not in self._cut:
            self._cut[size, overlap] = [passages(Document(text), size, overlap) for text in self.texts]
        return self._cut[size, overlap]


def rank(question: Question, found: Sequence[tuple[int, int, int]]) -> int | None:
    """Give the place, from 1 on, of the first of passages (document, start, end) that has some of an answer."""
    for place, (document, start, end) in enumerate(found, 1):
        if document == question.document and any(start < last and first < end for first, last in question.answers):
            return place
    return None


def _row(row: Fields) -> Row:
    context = row.text("context")
    return Row(context, row.text("question"), _places(row, context))


def _paper_row(row: Fields) -> Row:
    answers = tuple((a.integer("start"), a.integer("start") + len(a.text("text"))) for a in row.objects("answers"))
    return Row(row.text("doc_id"), row.text("question"), answers)


def _places(row: Fields, context: str) -> tuple[Place, ...]:
    return tuple((start, start + len(text)) for text, start in placed_answers(row, context) if start >= 0)
