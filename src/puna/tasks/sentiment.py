"""Whether a text is positive or negative: two labels, with prompts made for them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from puna.answer.reader import Reader
from puna.tasks.classify import Classified, Classifier, Progress, Stop
from puna.tasks.label_prompt import CHINESE, ENGLISH, LabelWording, language_of

_TOGETHER = 64  # texts that are read together
_WORDINGS = {
    "en": replace(ENGLISH, listed="", label="Sentiment:"),
    "zh": replace(CHINESE, listed="判断每段文本的情感是{labels}。\n\n", between="还是", label="情感："),
}
_LABELS = {
    "en": {"positive": "positive", "negative": "negative"},
    "zh": {"正面": "positive", "负面": "negative"},
}
NAMES = ("negative", "positive")


def asked_in(language: str) -> tuple[LabelWording, dict[str, str]]:
    """Give the sentences of a language, and what each of NAMES is called in it."""
    return _WORDINGS[language], {name: label for label, name in _LABELS[language].items()}


class Sentiment:
    """A reader that is asked for the sentiment of texts, in English or Chinese by the script of each.

    `prior` as in `Classifier`. Labels are "positive" and "negative" in either language. A reader that was trained for
    labels (`puna.load(adapter="sentiment")`) is asked as it is, any other without the adapter that Puna brings.
    """

    def __init__(self, reader: Reader, *, prior: bool | None = None) -> None:
        self._each = {
            language: Classifier(
                reader, labels, prior=prior, wordings=_WORDINGS, plain=reader.trained != "classify"
            )
            for language, labels in _LABELS.items()
        }

    @property
    def key(self) -> str:
        """All that labels depend on."""
        return "\n".join(each.key for each in self._each.values())

    def classify(self, text: str, *, progress: Progress | None = None, stop: Stop | None = None) -> Classified:
        """Give a text's labels as `Classifier.classify` does."""
        return _named(self._each[language_of(text)].classify(text, progress=progress, stop=stop))

    def each(self, texts: Sequence[str]) -> Iterator[Classified]:
        """Give the labels of texts as `Classifier.each` does."""
        for start in range(0, len(texts), _TOGETHER):
            group = texts[start : start + _TOGETHER]
            found: dict[int, Classified] = {}
            for language, classifier in self._each.items():
                numbers = [n for n, text in enumerate(group) if language_of(text) == language]
                found |= zip(numbers, classifier.each([group[n] for n in numbers]), strict=True)
            yield from (_named(found[n]) for n in range(len(group)))


def _named(found: Classified) -> Classified:
    names = _LABELS[found.language]
    labels = tuple(replace(each, label=names[each.label]) for each in found.labels)
    return replace(found, labels=labels, chosen=tuple(names[name] for name in found.chosen))
