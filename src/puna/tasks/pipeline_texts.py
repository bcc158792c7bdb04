"""The pipelines "question-answering" and "translation"."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from puna.answer.reader import Reader
from puna.answer.settings import Options
from puna.errors import InputError
from puna.tasks.pipeline_base import Pipeline
from puna.tasks.translate import Translation, Translator, Wanted
from puna.tasks.translate_prompt import language_of

_OTHER = {"en": "zh", "zh": "en"}
# As the vocabularies of NLLB and mBART name them.
_LANGUAGES = {"eng_Latn": "en", "en_XX": "en", "zho_Hans": "zh", "zh_CN": "zh"}
_PAIR = "{'question': str, 'context': str}"


class QuestionAnswering(Pipeline):
    """Answers that stand in a text, with their places in code points."""

    takes: ClassVar[frozenset[str]] = frozenset(
        "question context X data top_k topk max_answer_len handle_impossible_answer align_to_words".split()
    )
    inert: ClassVar[frozenset[str]] = Pipeline.inert | {"doc_stride", "max_seq_len", "max_question_len"}
    counts: ClassVar[frozenset[str]] = frozenset({"top_k", "topk", "max_answer_len"})
    flags: ClassVar[frozenset[str]] = frozenset({"handle_impossible_answer"})
    fixed: ClassVar[Mapping[str, bool]] = {"align_to_words": True}

    def __call__(self, *inputs: Any, **given: Any) -> Any:
        """Answer `question` from `context`; strings, lists of the same length, or many questions about one context.

        The same as one dictionary {"question": …, "context": …} or several, in a list, one by one, or as `X` or `data`;
        or as two strings. `top_k` (or `topk`): how many answers. `max_answer_len`: their greatest length in words, in
        Chinese in characters. `handle_impossible_answer`: whether the empty answer, "not in the context", is one too.

        Gives {"score", "start", "end", "answer"}, or where there are several answers to a question a list, the most
        probable first; for several questions a list of such. context[start:end] is the answer; the empty one stands at 0.
        Raises InputError for empty questions and contexts, and as `Reader.ask` does.
        """
        options = self._options(given)
        pairs, single = self._pairs(inputs, given)
        found = [self._answer(question, context, options) for question, context in pairs]
        return found[0] if single else found

    def _answer(self, question: str, context: str, options: Mapping[str, Any]) -> Any:
        top: int = options.get("top_k") or options.get("topk") or 1
        asked: Options = {"top": top, "group": False}
        if longest := options.get("max_answer_len"):
            asked |= {"max_words": longest, "max_chars": longest}
        found = self.reader.ask(question, context, **asked)
        answers: list[dict[str, Any]] = []
        for each in found:
            place = each.evidence[0]
            text = context[place.start : place.end]
            answers.append({"score": each.probability, "start": place.start, "end": place.end, "answer": text})
        if options.get("handle_impossible_answer"):
            answers.append({"score": found.no_answer_probability, "start": 0, "end": 0, "answer": ""})
        answers = sorted(answers, key=lambda each: -each["score"])[:top]
        return answers[0] if len(answers) == 1 else answers

    def _pairs(self, inputs: Sequence[Any], given: Mapping[str, Any]) -> tuple[list[tuple[str, str]], bool]:
        """Give questions with their contexts, and whether one result is wanted, not a list."""
        if not inputs and "question" in given and "context" in given:
            pairs = self._paired(given["question"], given["context"])
            return pairs, len(pairs) == 1
        if len(inputs) == 2 and all(isinstance(each, str) for each in inputs):
            return [(inputs[0], inputs[1])], True
        every: Any = given.get("X", given.get("data"))
        if inputs:
            every = inputs[0] if len(inputs) == 1 else list(inputs)
        items = [every] if isinstance(every, Mapping) else every
        if not isinstance(items, list | tuple):
            raise self._wrong(every, _PAIR)
        found: list[tuple[str, str]] = []
        for item in items:
            if not isinstance(item, Mapping) or set(item) != {"question", "context"}:
                raise self._wrong(item, _PAIR)
            found += self._paired(item["question"], item["context"])
        return found, len(items) == 1 and isinstance(items[0]["question"], str)

    def _paired(self, question: Any, context: Any) -> list[tuple[str, str]]:
        questions = self._strings(question)
        if isinstance(question, str) and not isinstance(context, str):
            raise self._wrong(context, "str")
        contexts = [context] * len(questions) if isinstance(context, str) else self._strings(context)
        if len(questions) != len(contexts):
            raise InputError("E-PIPELINE-PAIRS", questions=len(questions), contexts=len(contexts))
        return list(zip(questions, contexts, strict=True))


class TranslationPipeline(Pipeline):
    """Texts in the other language. `languages`: from which and to which, where the task's name says so."""

    takes: ClassVar[frozenset[str]] = frozenset(
        "src_lang tgt_lang num_beams num_return_sequences return_text return_tensors do_sample".split()
    )
    inert: ClassVar[frozenset[str]] = Pipeline.inert | {"max_new_tokens", "clean_up_tokenization_spaces"}
    counts: ClassVar[frozenset[str]] = frozenset({"num_beams", "num_return_sequences"})
    fixed: ClassVar[Mapping[str, bool]] = {"return_text": True, "return_tensors": False, "do_sample": False}

    def __init__(self, task: str, reader: Reader, defaults: Mapping[str, Any]) -> None:
        super().__init__(task, reader.plain, defaults)  # of a translator it is the translator itself
        self._languages = (*task.split("_")[1::2], None, None)[:2]
        used = self.reader
        self._translator = Translator(used.model, used.tokenizer, used.name, examples=used.examples)

    def __call__(self, texts: Any, **given: Any) -> Any:
        """Translate a text, or a list of texts.

        `src_lang`, `tgt_lang`: "en" or "zh" (or as NLLB and mBART call them); where neither they nor the task's name say,
        each text goes into the other language than its own. `num_beams`: as in `puna translate`, 4 if it is left out, at
        least as many as translations. `num_return_sequences`: how many translations of each.

        Gives a list of {"translation_text"}; for a list of texts, where several translations were asked for, a list of
        such lists. Raises InputError as `Translator.translate` does.
        """
        options = self._options(given)
        every = self._strings(texts)
        beams, best = (options.get(name) for name in ("num_beams", "num_return_sequences"))
        wanted = Wanted(best or 1, max(beams or Wanted().beams, best or 1))
        source, target = (options.get(name) for name in ("src_lang", "tgt_lang"))
        if source is None and target is None:
            source, target = self._languages
        found = self._translated(every, _language(source), _language(target), wanted)
        results = [[{"translation_text": one.text} for one in each.candidates] for each in found]
        if isinstance(texts, str):
            return results[0]
        return [each[0] for each in results] if all(len(each) == 1 for each in results) else results

    def _translated(
        self, texts: Sequence[str], source: str | None, target: str | None, wanted: Wanted
    ) -> list[Translation]:
        if target is None and source is not None:
            target = _OTHER.get(source, source)  # what is no language is told when it comes to translating
        targets = [target or _OTHER[language_of(text) or "en"] for text in texts]
        found: dict[int, Translation] = {}
        for language in dict.fromkeys(targets):
            numbers = [number for number, each in enumerate(targets) if each == language]
            group = [texts[number] for number in numbers]
            found |= zip(
                numbers, self._translator.translate(group, language, source=source, wanted=wanted), strict=True
            )
        return [found[number] for number in range(len(texts))]


def _language(given: Any) -> str | None:
    return None if given is None else _LANGUAGES.get(str(given), str(given))
