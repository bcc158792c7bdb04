"""The pipelines "zero-shot-classification" and "text-classification"."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from puna.answer.mixture import log
from puna.answer.reader import Reader
from puna.errors import InputError, shown
from puna.tasks.classify import Classified, Classifier
from puna.tasks.label_prompt import WORDINGS, wordings_of
from puna.tasks.pipeline_base import Pipeline
from puna.tasks.sentiment import Sentiment

_TEMPLATE = "This example is {}."  # of old, where none was given; here that is Puna's own prompt
_SENTIMENTS = {"negative": "NEGATIVE", "positive": "POSITIVE"}  # in the order and case of the default model of old
_FUNCTIONS = ("default", "softmax", "none")


class _Labelling(Pipeline):
    """Keeps what was read of the labels for further calls with the same ones."""

    def __init__(self, task: str, reader: Reader, defaults: Mapping[str, Any]) -> None:
        super().__init__(task, reader, defaults)
        self._last: tuple[object, Classifier | Sentiment] | None = None

    def _classifier(
        self, labels: Sequence[str] | None, multi: bool = False, template: str | None = None
    ) -> Classifier | Sentiment:
        """Give what labels texts; None stands for the sentiment."""
        key = None if labels is None else (*labels,), multi, template
        if self._last is None or self._last[0] != key:
            wordings = WORDINGS if template in (None, _TEMPLATE) else wordings_of(str(template))
            made = (
                Sentiment(self.reader)
                if labels is None
                else Classifier(self.reader, labels, multi=multi, wordings=wordings)
            )
            self._last = key, made
        return self._last[1]

    def _labels(self, given: Any) -> list[str]:
        """Give labels as they were written: a list, or a string with commas."""
        if isinstance(given, str):
            return [name for each in given.split(",") if (name := each.strip())]
        return self._strings(given)


class ZeroShotClassification(_Labelling):
    """Labels of the caller's own for texts."""

    takes: ClassVar[frozenset[str]] = frozenset(
        "candidate_labels hypothesis_template multi_label multi_class".split()
    )
    flags: ClassVar[frozenset[str]] = frozenset({"multi_label", "multi_class"})

    def __call__(self, sequences: Any, candidate_labels: Any = None, **given: Any) -> Any:
        """Score `candidate_labels`, a list or a string with commas, for a text or each text of a list.

        `multi_label` (once `multi_class`): any number of labels may fit, each with a score of its own; else scores sum to
        1. One label alone is scored by itself as well. `hypothesis_template`: the sentence that says of a text that a
        label fits it; the model's log-probability of that sentence with each label in the place of {} then decides.
        "This example is {}.", what was used of old where none was given, stands for Puna's own prompt.

        Gives {"sequence", "labels", "scores"}, labels in the order of their scores; for a list of texts a list of such.
        Raises InputError for empty texts, no labels, a label given twice and a template without a place for the label.
        """
        if candidate_labels is not None:
            given["candidate_labels"] = candidate_labels
        options = self._options(given)
        texts = self._strings(sequences)
        labels = self._labels(options.get("candidate_labels") or [])
        multi = bool(options.get("multi_label", options.get("multi_class"))) or len(labels) == 1
        every = self._classifier(labels, multi, options.get("hypothesis_template")).each(texts)
        names = _by_name(labels)
        found = [
            {
                "sequence": text,
                "labels": [names[one.label] for one in each.labels],
                "scores": [one.probability for one in each.labels],
            }
            for text, each in zip(texts, every, strict=True)
        ]
        return found[0] if isinstance(sequences, str) else found


class TextClassification(_Labelling):
    """Whether texts are positive or negative, or labels that an adapter was trained for."""

    takes: ClassVar[frozenset[str]] = frozenset(
        "candidate_labels top_k function_to_apply return_all_scores".split()
    )
    counts: ClassVar[frozenset[str]] = frozenset({"top_k"})
    flags: ClassVar[frozenset[str]] = frozenset({"return_all_scores"})

    @classmethod
    def check(cls, task: str, given: Mapping[str, Any]) -> None:
        """Check the function as well."""
        super().check(task, given)
        function = given.get("function_to_apply")
        if function is not None and function not in _FUNCTIONS:
            wanted = ", ".join(_FUNCTIONS)
            raise InputError("E-PIPELINE-VALUE", name="function_to_apply", value=shown(function), wanted=wanted)

    def __call__(self, inputs: Any, **given: Any) -> Any:
        """Label a text, {"text": …}, or each of a list of either.

        `candidate_labels`: labels of your own, in the place of POSITIVE and NEGATIVE. `top_k`: how many labels of each
        text, None for all, the most probable first. `return_all_scores`: all, in their own order. `function_to_apply`:
        "softmax" (or "default") gives probabilities that sum to 1, "none" their logarithms.

        Gives [{"label", "score"}] for a text, and one dictionary for each text of a list; where `top_k` or
        `return_all_scores` asks for several labels, a list for each text of a list. One text has a list around its list
        where `return_all_scores` asked for it, and where `top_k` was given when the pipeline was made, as of old.
        Raises InputError for empty texts.
        """
        options = self._options(given)
        many = isinstance(inputs, list | tuple)
        texts = [self._text(each) for each in (inputs if many else [inputs])]
        given_labels = options.get("candidate_labels")
        labels = None if given_labels is None else self._labels(given_labels)
        classifier = self._classifier(labels)
        names = _SENTIMENTS if labels is None else _by_name(labels)
        plain = options.get("function_to_apply") == "none"
        results: list[Any] = []
        for each in classifier.each(texts):
            scores = _scores(each, names, logarithms=plain)
            if "top_k" in options:
                results.append(scores[: options["top_k"]])
            elif options.get("return_all_scores"):
                known = {one["label"]: one for one in scores}
                results.append([known[label] for label in names.values()])
            else:
                results.append(scores[0])
        if many:
            return results
        return results if isinstance(inputs, str) and "top_k" not in given else results[0]

    def _text(self, given: Any) -> str:
        text = given["text"] if isinstance(given, Mapping) and set(given) == {"text"} else given
        if not isinstance(text, str):
            raise self._wrong(given, "str, {'text': str}")
        return text


def _by_name(labels: Sequence[str]) -> dict[str, str]:
    """Give labels as they were written, by the names that the classifier calls them."""
    return {" ".join(label.split()): label for label in labels}


def _scores(found: Classified, names: Mapping[str, str], *, logarithms: bool) -> list[dict[str, Any]]:
    return [
        {"label": names[each.label], "score": log(each.probability) if logarithms else each.probability}
        for each in found.labels
    ]
