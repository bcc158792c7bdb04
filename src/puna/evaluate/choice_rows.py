"""Rows of multiple choice, and the text that a model reads for them: lm-evaluation-harness's own.

| row | prompt | candidate | sets |
|---|---|---|---|
| question | `Question: {question}\\nAnswer:` | ` {candidate}` | ARC, PIQA |
| context and question | `{context}\\nQuestion: {question}\\nAnswer:` | ` {candidate}` | BoolQ |
| context | `{context}` | ` {candidate}` | HellaSwag, COPA |
| neither | the start token | `{candidate}` | WinoGrande, whole sentences |

Chinese rows have `问题：{question}\\n答案：` and no space. (The harness gives OpenBookQA's question as a bare context,
and scores of WinoGrande's sentences only what follows the gap.)
"""

import re
from dataclasses import dataclass

from puna.tasks.rows import Fields

_HAN = re.compile("[\u4e00-\u9fff]")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+")

# What is read, and what goes on from it, one text a candidate.
Asked = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """Candidates of which one, `candidates[answer_index]`, answers the question or continues the context."""

    id: str
    context: str | None
    question: str | None
    candidates: tuple[str, ...]
    answer_index: int

    def asked(self) -> Asked:
        """Give the prompt, "" for the start token alone, and the continuations."""
        prompt = self._label() if self.question else ""
        if self.context:
            prompt = f"{self.context}\n{prompt}" if prompt else self.context
        return prompt, self._continuations()

    def unasked(self) -> Asked | None:
        """Give the same continuations without what they answer: their own weight. None where nothing can be left out."""
        if not (self.context or self.question):
            return None
        return ("答案：" if self._chinese() else "Answer:") if self.question else "", self._continuations()

    def _label(self) -> str:
        return f"问题：{self.question}\n答案：" if self._chinese() else f"Question: {self.question}\nAnswer:"

    def _continuations(self) -> tuple[str, ...]:
        bare = self._chinese() or not (self.context or self.question)
        return self.candidates if bare else tuple(f" {candidate}" for candidate in self.candidates)

    def _chinese(self) -> bool:
        return bool(_HAN.search(self.question or self.context or ""))


def choice_row(row: Fields) -> ChoiceRow:
    """Parse `{id?, context?, question?, candidates, answer_index}` for `read_rows`.

    HellaSwag's `activity_label` goes before the context as the harness puts it.
    """
    candidates, index = row.texts("candidates"), row.integer("answer_index")
    if len(candidates) < 2:
        raise row.error("E-CHOICE-FEW", count=len(candidates))
    if not 0 <= index < len(candidates):
        raise row.error("E-CHOICE-INDEX", index=index, last=len(candidates) - 1)
    context, question = (row.text(name) if name in row else None for name in ("context", "question"))
    if context and "activity_label" in row:
        context = f"{row.text('activity_label')}: {_capitalised(context)}"
    return ChoiceRow(row.identity(), context, question, candidates, index)


def _capitalised(context: str) -> str:
    """Capitalise the sentence that the candidates end: the harness's `ctx_b.capitalize()`, all else in lower case."""
    begun = _SENTENCE_END.split(context)[-1]
    unfinished = begun[:1].islower() and not begun.endswith((".", "!", "?"))
    return context.removesuffix(begun) + begun.capitalize() if unfinished else context
