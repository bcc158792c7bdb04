"""What a model reads before it writes a translation, and what counts as one.

Two short lines, the text and the name of the other language, in training and in use; a model that was not trained to
translate gets worked examples before them. The translation ends where its line ends. The names are English: they are a
token each in most vocabularies, and Chinese takes the default model two to three tokens a character.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from puna.errors import InputError, shown
from puna.tokens.tokenizer import Tokenizer

NAMES = {"en": "English", "zh": "Chinese"}
LEADS = {"en": " ", "zh": ""}  # between a label and its text
_EXAMPLES = (
    {"en": "Good morning.", "zh": "早上好。"},
    {"en": "Where is the station?", "zh": "车站在哪里？"},
    {"en": "She has lived in Beijing for two years.", "zh": "她在北京住了两年。"},
)
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_KANA = re.compile(r"[\u3040-\u30ff\uff66-\uff9f]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")


def language_of(text: str) -> str | None:
    """Tell the language by its script: "zh", "en", or None where there are no such letters.

    A Han character counts as much as four Latin letters. Raises InputError for a text in other scripts.
    """
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    letters = sum(map(str.isalpha, text))
    if _KANA.search(text) or 2 * (han + latin) < letters:
        raise InputError("E-TRANSLATE-SCRIPT", text=shown(text, 40))
    if not han and not latin:
        return None
    return "zh" if 4 * han > latin else "en"


def check_languages(source: str | None, target: str) -> str:
    """Give the language to translate from; raise InputError for one that is not known, or the target's own."""
    for language in (source, target):
        if language is not None and language not in NAMES:
            raise InputError("E-TRANSLATE-LANGUAGE", value=shown(language, 40), known=", ".join(NAMES))
    if source == target:
        raise InputError("E-TRANSLATE-SAME", language=target)
    return next(language for language in NAMES if language != target)


@dataclass(frozen=True, slots=True)
class TranslationPrompts:
    """A model's tokens for one direction; `examples=False` leaves the worked examples out."""

    tokenizer: Tokenizer
    source: str
    target: str
    examples: bool = True

    @property
    def end(self) -> int:
        """The token that ends a translation: a line's end, or where the vocabulary has it that of an empty line."""
        return self.tokenizer.encode(f"\n\n{NAMES[self.source]}:", start=False)[0]

    @property
    def prefix(self) -> list[int]:
        """What stands before every text."""
        if not self.examples:
            return self.tokenizer.encode_prompt("")
        shown = [self._asked(each[self.source]) + LEADS[self.target] + each[self.target] for each in _EXAMPLES]
        return self.tokenizer.encode_prompt("".join(f"{each}\n\n" for each in shown))

    def asked(self, text: str) -> list[int]:
        """Tokens of a text, behind the prefix, up to where its translation begins."""
        return self.tokenizer.encode(self._asked(in_one_line(text)), start=not self.examples)

    def answers(self, texts: Iterable[str]) -> list[list[int]]:
        """Tokens of translations, without the end token."""
        lead = LEADS[self.target]
        return self.tokenizer.encode_batch([lead + in_one_line(text) for text in texts], start=False)

    def back(self) -> "TranslationPrompts":
        """Give the other direction's."""
        return TranslationPrompts(self.tokenizer, self.target, self.source, self.examples)

    def _asked(self, text: str) -> str:
        return f"{NAMES[self.source]}:{LEADS[self.source]}{text}\n{NAMES[self.target]}:"


def in_one_line(text: str) -> str:
    """Give a text with every stretch of white space as one space, none around it."""
    return " ".join(text.split())
