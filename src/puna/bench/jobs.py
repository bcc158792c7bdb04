"""What is measured, and the jobs that measure it: one for each line that a worker is sent."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from puna.answer.prompt import Prompts, wording_for
from puna.bench.texts import Made, text_of, tokens_of
from puna.llama.config import LlamaConfig
from puna.tokens.tokenizer import Tokenizer

Job = dict[str, Any]

CANDIDATES = 20  # of a question
WRITTEN = 32  # tokens a timing
WARM = 64  # tokens read after loading
UNITS = {
    "load": "s",
    "prefill": "tokens/s",
    "decode": "tokens/s",
    "rank": "s",
    "first": "s",
    "second": "s",
    "peak": "MB",
}


def unit(measure: str) -> str:
    """Give a measure's unit."""
    return UNITS[measure.partition("_")[0]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is read, written and ranked: in tokens, tokens before the first one written, candidates, tokens.

    `loads`: the model is loaded anew in every round.
    """

    read: tuple[int, ...] = (128, 512, 2048)
    write: tuple[int, ...] = (0, 512, 4096)
    rank: tuple[int, ...] = (4, 20, 100)
    text: int = 1000
    loads: bool = True

    def within(self, longest: int) -> "Plan":
        """Leave out what reads more tokens than that."""
        read, write = (tuple(n for n in each if n <= longest) for each in (self.read, self.write))
        return replace(self, read=read, write=write)


QUICK = Plan(read=(128, 512), write=(0, 512), loads=False)


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of one model."""

    tokenizer: Tokenizer
    config: LlamaConfig
    plan: Plan

    @property
    def span(self) -> int:
        """The most tokens that an engine has to keep room for."""
        return min(max(*self.plan.read, *self.plan.write, 2 * self.plan.text) + 2 * WRITTEN, self.config.context)

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return self._prompts("").end

    @property
    def measures(self) -> list[str]:
        """The rows of the result, in order."""
        plan = self.plan
        named = (("prefill", plan.read), ("decode", plan.write), ("rank", plan.rank))
        counted = [f"{name}_{count}" for name, counts in named for count in counts]
        return ["load", *counted, "first_question", "second_question", "peak_memory"]

    def round(self, number: int) -> Iterator[Job]:
        """Give the jobs of a round; no round has a text of another's."""
        made, plan = Made(number), self.plan
        if plan.loads or not number:
            yield {"job": "load", "tokens": tokens_of(made, self.tokenizer, WARM)}
        for count in sorted({*plan.read, *plan.write}):
            tokens = tokens_of(made, self.tokenizer, count or 1)
            written = WRITTEN if count in plan.write else 0
            yield {"job": "read", "tokens": tokens, "after": count, "timed": count in plan.read, "write": written}
        yield self._ranking(made) | {"first": number == 0}
        yield self._questions(made)

    def last(self) -> Job:
        """Give the job that ends a run."""
        return {"job": "memory"}

    def _ranking(self, made: Made) -> Job:
        text, (question, _) = text_of(made, self.tokenizer, self.plan.text), made.questions()
        prompts, counts = self._prompts(question), self.plan.rank
        candidates = prompts.answers(made.names(max(counts)))
        return {"job": "rank", "tokens": prompts.about(text).tokens, "candidates": candidates, "counts": counts}

    def _questions(self, made: Made) -> Job:
        text = text_of(made, self.tokenizer, self.plan.text)
        first, second = (self._question(made, text, question) for question in made.questions())
        return {"job": "questions", "first_question": first, "second_question": second}

    def _question(self, made: Made, text: str, question: str) -> Job:
        prompts, names = self._prompts(question), made.names(CANDIDATES)
        tokens = {"tokens": prompts.about(text).tokens, "candidates": prompts.answers(names)}
        return {"question": question, "text": text, "answers": names, **tokens}

    def _prompts(self, question: str) -> Prompts:
        return Prompts(self.tokenizer, wording_for(question), question)
