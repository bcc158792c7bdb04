"""What the model is given to read of a text, and the labels as what may follow.

Plain text in the language of the text. What is the same for all texts, the labels and the examples, stands first, so
that it is read once. Where several labels may fit, each is a question behind the text, answered by yes or no.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from string import Formatter

from puna.answer.prompt import CHINESE as ANSWERING_CHINESE
from puna.answer.prompt import wording_of
from puna.answer.windows import OVERLAP, room_of, window_size
from puna.errors import InputError, shown
from puna.tasks.labels import Example, Label
from puna.tokens.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class LabelWording:
    """The sentences of one language. `lead` stands before a label, `after` behind it."""

    listed: str
    unlisted: str
    described: str
    between: str
    text: str
    label: str
    lead: str
    each: str = ""
    question: str = ""
    note: str = ""
    fits: str = ""
    yes: str = ""
    no: str = ""
    after: str = ""

    def head(self, labels: Sequence[Label], examples: Sequence[Example], *, listed: bool, multi: bool) -> str:
        """Give what stands before every text."""
        said = self.each if multi else self.unlisted
        if listed and not multi:
            said = self.listed.format(labels=self.between.join(label.name for label in labels))
            notes = [self.described.format(**_parts(label)) for label in labels if label.description]
            said += "".join(notes) + "\n" * bool(notes)
        for example in examples:
            said += self.item(example.text, multi=multi)
            if multi:
                answers = [(label, self.yes if label.name in example.labels else self.no) for label in labels]
                said += "".join(f"{self.asked(label)}{self.lead}{answer}\n" for label, answer in answers) + "\n"
            else:
                said += f"{self.lead}{example.labels[0]}{self.after}\n\n"
        return said

    def item(self, text: str, *, multi: bool) -> str:
        """Give a text, up to where its label begins, or the question about one."""
        return f"{self.text}{text}\n" + ("" if multi else self.label)

    def asked(self, label: Label) -> str:
        """Ask whether a label fits, up to where the answer begins."""
        note = self.note.format(**_parts(label)) if label.description else ""
        return f"{self.question}{label.name}{note}{self.after}\n{self.fits}"


def _parts(label: Label) -> dict[str, str]:
    return {"name": label.name, "description": label.description}


ENGLISH = LabelWording(
    listed="Categories: {labels}.\n\n",
    unlisted="Choose the category that fits the text.\n\n",
    described="{name}: {description}\n",
    between=", ",
    text="Text: ",
    label="Category:",
    lead=" ",
    each="Say for each category whether it fits the text: yes or no.\n\n",
    question="Category: ",
    note=" ({description})",
    fits="Fits:",
    yes="yes",
    no="no",
)
CHINESE = LabelWording(
    listed="判断每段文本的类别，可选：{labels}。\n\n",
    unlisted="判断每段文本的类别。\n\n",
    described="{name}：{description}\n",
    between="、",
    text="文本：",
    label="类别：",
    lead="",
    each="判断每个类别是否符合文本：是或否。\n\n",
    question="类别：",
    note="（{description}）",
    fits="符合：",
    yes="是",
    no="否",
)
WORDINGS: Mapping[str, LabelWording] = {"en": ENGLISH, "zh": CHINESE}


def wordings_of(template: str) -> Mapping[str, LabelWording]:
    """Give the wordings with a sentence of the user's own, {} in it, that says which label fits a text.

    Raises InputError where there is not one {} (or {0}) in it.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        parts = []
    fields = [n for n, part in enumerate(parts) if part[1] is not None]
    if len(fields) != 1 or parts[fields[0]][1:] not in (("", "", None), ("0", "", None)):
        raise InputError("E-PIPELINE-TEMPLATE", template=shown(template))
    split = fields[0] + 1
    before, after = ("".join(literal for literal, *_ in each) for each in (parts[:split], parts[split:]))
    stem = before.rstrip(" ")  # most vocabularies have a word with the space before it as one token
    return {
        language: replace(wording, label=stem, lead=before[len(stem) :], question=before, after=after)
        for language, wording in WORDINGS.items()
    }


def language_of(text: str) -> str:
    """Give "zh" for a text that is mostly Chinese, else "en"."""
    return "zh" if wording_of([text]) is ANSWERING_CHINESE else "en"


@dataclass(frozen=True, slots=True)
class LabelPrompts:
    """A model's tokens for one set of labels, in one language.

    head: what stands before every text. candidates: of each label, what follows a text, one sequence of tokens; of
    several that may fit two, the question with yes and with no, of which the last tokens, as many as `counted` says, are
    the answer. end: the token behind a label. size: tokens of text that are read at once. listed: whether the labels
    stand in the head.
    """

    tokenizer: Tokenizer
    wording: LabelWording
    multi: bool
    head: list[int]
    candidates: list[list[int]]
    counted: list[int]
    end: int
    size: int
    listed: bool

    def tail(self, text: str) -> list[int]:
        """Give the tokens of a text, as they follow the head, up to where labels begin."""
        return self.tokenizer.encode(self.wording.item(text.strip(), multi=self.multi), start=False)


def label_prompts(
    tokenizer: Tokenizer,
    context: int,
    labels: Sequence[Label],
    examples: Sequence[Example] = (),
    *,
    wording: LabelWording,
    multi: bool = False,
) -> LabelPrompts:
    """Lay out the prompts for labels. They are listed where that takes a quarter of the model's context at most.

    Raises InputError where a label, the descriptions or the examples are too long for the model.
    """
    listed = len(tokenizer.encode_prompt(wording.head(labels, (), listed=True, multi=multi))) <= context // 4
    if not listed and any(label.description for label in labels):
        raise InputError("E-LABELS-DESCRIBED", limit=context // 4)
    head = tokenizer.encode_prompt(wording.head(labels, examples, listed=listed, multi=multi))
    if multi:
        questions = tokenizer.encode_batch([wording.asked(label) for label in labels], start=False)
        answers = tokenizer.encode_batch([wording.lead + wording.yes, wording.lead + wording.no], start=False)
        candidates = [[*question, *answer] for question in questions for answer in answers]
        counted = [len(answer) + 1 for _ in labels for answer in answers]
    else:
        candidates = tokenizer.encode_batch(
            [wording.lead + label.name + wording.after for label in labels], start=False
        )
        counted = [len(candidate) + 1 for candidate in candidates]
    longest = max(map(len, candidates))
    if longest > context // 4:
        name = labels[
            max(range(len(candidates)), key=lambda n: len(candidates[n])) // (len(candidates) // len(labels))
        ]
        raise InputError("E-LABEL-LONG", label=shown(name.name), tokens=longest, limit=context // 4)
    around = tokenizer.encode(wording.item("", multi=multi), start=False)
    overhead = len(head) + len(around) + max(0, longest + 1 - room_of(context))
    size = window_size(context, overhead)
    if size < min(OVERLAP, context) // 4:
        raise InputError("E-EXAMPLES-LONG" if examples else "E-LABELS-LONG", tokens=len(head), limit=context)
    end = tokenizer.encode(f"\n\n{wording.text}", start=False)[0]
    if multi:  # the questions about a text follow each other
        end = tokenizer.encode(f"\n{wording.question}", start=False)[0]
    return LabelPrompts(tokenizer, wording, multi, head, candidates, counted, end, size, listed)
