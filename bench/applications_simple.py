"""What needs no model: the most frequent label, and logistic regression over tf-idf, on the same rows as Puna."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier

from puna.evaluate.choice_rows import ChoiceRow
from puna.evaluate.texts import LabelRow

STRENGTHS = [1.0, 10.0, 100.0]  # C, of which cross-validation on the rows to learn from chooses


def vectorizer(chinese: bool) -> TfidfVectorizer:
    """Words and pairs of words; in Chinese one to three characters."""
    if chinese:
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")


def most_frequent(learn: Sequence[LabelRow], labels: Sequence[str]) -> np.ndarray:
    """Give each label's share of the rows."""
    counts = Counter(row.label for row in learn)
    return np.array([counts[label] / len(learn) for label in labels])


class Regression:
    """Logistic regression over tf-idf."""

    def __init__(self, learn: Sequence[LabelRow], labels: Sequence[str], chinese: bool) -> None:
        self._labels, self._vectors = list(labels), vectorizer(chinese)
        self._model = _fitted(
            self._vectors.fit_transform([row.text for row in learn]), [row.label for row in learn]
        )

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Give probabilities [texts, labels]; 0 for a label that was not learned."""
        found = np.zeros((len(texts), len(self._labels)))
        columns = [self._labels.index(label) for label in self._model.classes_]
        found[:, columns] = self._model.predict_proba(self._vectors.transform(texts))
        return found


def most_frequent_place(learn: Sequence[ChoiceRow], rows: Sequence[ChoiceRow]) -> list[list[float]]:
    """Give, for each row, its candidates' places' shares of the right answers of the rows to learn from."""
    counts = Counter(row.answer_index for row in learn)
    return [_shares([float(counts[n]) for n in range(len(row.candidates))]) for row in rows]


def similarities(rows: Sequence[ChoiceRow], chinese: bool) -> list[list[float]] | None:
    """Give cosines of tf-idf between each candidate and what it answers, as shares; nothing is learned.

    None where there is nothing to compare with, or all rows have the same candidates.
    """
    asked = [f"{row.context or ''} {row.question or ''}".strip() for row in rows]
    if not all(asked) or len({row.candidates for row in rows}) == 1:
        return None
    vectors = vectorizer(chinese).fit([*asked, *(text for row in rows for text in row.candidates)])
    found = []
    for row, text in zip(rows, asked, strict=True):
        found.append(_shares((vectors.transform(row.candidates) @ vectors.transform([text]).T).toarray()[:, 0]))
    return found


class ChoiceRegression:
    """Logistic regression over a candidate's tf-idf, its cosines with context and question, and its length."""

    def __init__(self, learn: Sequence[ChoiceRow], chinese: bool) -> None:
        texts = [text for row in learn for text in (row.context or "", row.question or "", *row.candidates)]
        self._vectors = vectorizer(chinese).fit(texts)
        right = [n == row.answer_index for row in learn for n in range(len(row.candidates))]
        self._model = _fitted(self._features(learn), right)

    def __call__(self, rows: Sequence[ChoiceRow]) -> list[list[float]]:
        """Give, for each row, probabilities of its candidates."""
        every = self._model.predict_proba(self._features(rows))[:, list(self._model.classes_).index(True)]
        ends = np.cumsum([len(row.candidates) for row in rows])[:-1]
        return [_shares(part) for part in np.split(every, ends)]

    def _features(self, rows: Sequence[ChoiceRow]) -> csr_matrix:
        candidates = self._vectors.transform([text for row in rows for text in row.candidates])
        columns = []
        for name in ("context", "question"):
            texts = [getattr(row, name) or "" for row in rows for _ in row.candidates]
            columns.append(np.asarray(candidates.multiply(self._vectors.transform(texts)).sum(1)).ravel())
        longest = [max(map(len, row.candidates)) for row in rows for _ in row.candidates]
        columns.append(np.array([len(text) for row in rows for text in row.candidates]) / np.array(longest))
        return csr_matrix(hstack([candidates, csr_matrix(np.stack(columns, 1))]))


def _fitted(vectors: csr_matrix, right: Sequence[object]) -> OneVsRestClassifier:
    each = OneVsRestClassifier(LogisticRegression(solver="liblinear"))  # a label against all others
    folds = KFold(3, shuffle=True, random_state=0)
    return GridSearchCV(each, {"estimator__C": STRENGTHS}, cv=folds).fit(vectors, right).best_estimator_


def _shares(values: Sequence[float]) -> list[float]:
    total = float(sum(values))
    return [float(value) / total if total else 1 / len(values) for value in values]
