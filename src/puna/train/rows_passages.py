"""Passages: runs of whole sentences, each of a size that a reader takes at once."""

import random
import re
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import NamedTuple

from puna.tokens.sentences import sentences
from puna.train import rows_chinese, rows_english
from puna.train.rows_target import Language
from puna.train.rows_text import Paragraph

_HAN = re.compile(r"[\u3400-\u9fff]")
_UNKNOWN = "<unk>"  # a rare word of WikiText; its sentence is left out


class Passage(NamedTuple):
    """A text to ask about, of the document with this number."""

    document: int
    title: str | None
    text: str


def language_of(text: str) -> Language:
    """Tell Chinese, by a quarter of its characters, from English."""
    return rows_chinese if len(_HAN.findall(text)) * 4 > len(text) else rows_english


def passages(paragraphs: Iterable[Paragraph], seed: int) -> Iterator[Passage]:
    """Cut each document at the ends of paragraphs where they fit, else of sentences; no sentence is in two passages.

    A sentence that is longer than a passage may be is left out, and so is a last piece that is too short.
    """
    for document, group in groupby(paragraphs, key=lambda paragraph: paragraph.document):
        begin = next(group)
        title, draw = begin.title, random.Random(f"{seed} {begin.text}")  # noqa: S311  no secret
        held, size, aim = "", 0, draw.random()
        for paragraph in chain([begin], group):
            if paragraph.whole:
                yield Passage(document, title, paragraph.text)
                continue
            language = language_of(paragraph.text)
            for n, (first, last) in enumerate(sentences(paragraph.text)):
                sentence = paragraph.text[first:last]
                more = language.size(sentence)
                if _UNKNOWN in sentence:
                    continue
                if size + more > language.MOST:
                    if size >= language.FEWEST:
                        yield Passage(document, title, held)
                    held, size, aim = "", 0, draw.random()
                if more > language.MOST:
                    continue
                gap = language.GAP if n else "\n"
                held, size = f"{held}{gap}{sentence}" if held else sentence, size + more
            if size >= language.FEWEST + aim * (language.MOST - language.FEWEST):
                yield Passage(document, title, held)
                held, size, aim = "", 0, draw.random()
        if held and size >= language_of(held).FEWEST:
            yield Passage(document, title, held)
