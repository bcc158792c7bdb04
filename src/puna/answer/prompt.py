"""What the model is given to read, and what counts as its answer.

Plain text with worked examples, one of them without an answer: on SQuAD rows the default model, untrained, did better
with it than with its chat template, and wrote spans of the text far more often. The text stands before the question,
so that what was read of it serves other questions too. The answer ends where the line ends.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from puna.tokens.tokenizer import Tokenizer

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class Wording:
    """The labels and examples of one language; `lead` stands between label and answer."""

    text: str
    question: str
    answer: str
    lead: str
    refusal: str
    examples: tuple[tuple[str, str, str], ...]

    def passage(self, text: str) -> str:
        """Head of an item: the text."""
        return f"{self.text}{text}\n"

    def asked(self, question: str) -> str:
        """Tail of an item: the question, up to where the answer begins."""
        return f"{self.question}{question}\n{self.answer}"

    @cache  # noqa: B019  two wordings exist for the life of the process
    def shown(self, with_text: bool) -> str:
        """All worked examples."""
        return "".join(
            f"{self.passage(text) if with_text else ''}{self.asked(question)}{self.lead}{answer}\n\n"
            for text, question, answer in self.examples
            if with_text or answer != self.refusal
        )


ENGLISH = Wording(
    text="Text: ",
    question="Question: ",
    answer="Answer:",
    lead=" ",
    refusal="not in the text",
    examples=(
        (
            "The Amazon is a river in South America. It is about 6,400 km long and flows into the Atlantic Ocean.",
            "How long is the Amazon?",
            "about 6,400 km",
        ),
        (
            "Marie Curie was born in Warsaw. She shared the Nobel Prize in Physics with her husband Pierre.",
            "When did Marie Curie move to Paris?",
            "not in the text",
        ),
        (
            "The bridge was opened in May 1937 after four years of work.",
            "When did the bridge open?",
            "May 1937",
        ),
    ),
)
CHINESE = Wording(
    text="原文：",
    question="问题：",
    answer="答案：",
    lead="",
    refusal="文中没有",
    examples=(
        ("大桥经过四年施工，于1937年5月通车。", "大桥什么时候通车？", "1937年5月"),
        ("玛丽·居里生于华沙，她与丈夫皮埃尔共同获得诺贝尔物理学奖。", "玛丽·居里什么时候搬到巴黎？", "文中没有"),
        ("亚马孙河是南美洲最长的河流，全长约6400公里。", "南美洲最长的河流是什么？", "亚马孙河"),
    ),
)
WORDINGS = {"en": ENGLISH, "zh": CHINESE}


def wording_for(question: str) -> Wording:
    """Chinese for a question with Han characters, else English."""
    return CHINESE if _HAN.search(question) else ENGLISH


def wording_of(texts: Iterable[str]) -> Wording:
    """The wording in which texts will probably be asked about; a Han character counts as much as four letters."""
    han = letters = 0
    for text in texts:
        found = len(_HAN.findall(text))
        han += found
        letters += sum(map(str.isalpha, text)) - found
    return CHINESE if 4 * han > letters else ENGLISH


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens to read, in sections that end at `cuts`: the examples, the text, the question.

    `offsets`: for each token the range [start, end) of the text's characters it covers; outside the text no characters.
    """

    tokens: list[int]
    cuts: tuple[int, ...]
    offsets: list[tuple[int, int]]

    @property
    def asked(self) -> int:
        """Where the question's tokens begin."""
        return self.cuts[-1]

    def covering(self, start: int, end: int) -> tuple[int, int]:
        """Range of the tokens before the question that cover some of the text's characters [start, end)."""
        before = enumerate(self.offsets[: self.asked])
        inside = [n for n, (first, last) in before if max(first, start) < min(last, end)]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)


@dataclass(frozen=True, slots=True)
class Prompts:
    """A model's tokens for one question; `examples=False` leaves the worked examples out."""

    tokenizer: Tokenizer
    wording: Wording
    question: str
    examples: bool = True

    @property
    def end(self) -> int:
        """The token that ends an answer in the worked examples: "\\n", or where the vocabulary has it, "\\n\\n"."""
        return self.tokenizer.encode(f"\n\n{self.wording.text}", start=False)[0]

    @property
    def overhead(self) -> int:
        """Tokens of a prompt with an empty text."""
        return len(self.about("").tokens)

    def about(self, text: str) -> Prompt:
        """What to read for a question about a text."""
        shown = self.wording.shown(True) if self.examples else ""
        begin = len(shown) + len(self.wording.text)
        asked = self.wording.passage(text) + self.wording.asked(self.question)
        tokens, offsets = self.tokenizer.encode_prompt_with_offsets(shown + asked)
        places = [len(shown), begin + len(text)][not shown :]
        ends = [last for _, last in offsets]
        cuts = tuple(next((n for n, last in enumerate(ends) if last > place), len(ends)) for place in places)
        moved = [(max(first - begin, 0), min(last - begin, len(text))) for first, last in offsets]
        return Prompt(tokens, cuts, moved)

    def alone(self) -> list[int]:
        """Tokens to read for a question without a text."""
        shown = self.wording.shown(False) if self.examples else ""
        return self.tokenizer.encode_prompt(shown + self.wording.asked(self.question))

    def answers(self, texts: Iterable[str]) -> list[list[int]]:
        """Tokens of answers, as they follow the prompt."""
        return self.tokenizer.encode_batch([self.wording.lead + text.strip() for text in texts], start=False)
