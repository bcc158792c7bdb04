"""Translation sentence by sentence, on a tiny model that knows a few by heart, and on random ones."""

import itertools
import math
import random
from pathlib import Path

import pytest

import puna
from puna.errors import InputError
from puna.rank.score import read, score
from puna.tasks.translate import Translation, Translator, Wanted
from puna.tasks.translate_prompt import TranslationPrompts
from tests.decode.byte_model import byte_model, byte_tokenizer
from tests.tasks.tiny_translator import PAIRS, taught  # noqa: F401

TO_ENGLISH = {zh: en for en, zh in PAIRS}
TO_CHINESE = dict(PAIRS)


@pytest.fixture(scope="module")
def translator(taught: tuple[Path, Path]) -> Translator:  # noqa: F811
    model, adapter = taught
    reader = puna.load(model, adapter=adapter)
    return Translator(reader.model, reader.tokenizer, reader.name, examples=reader.examples)


@pytest.fixture(scope="module")
def guesser() -> Translator:
    return Translator(byte_model(context=600), byte_tokenizer(), "guesser")


def texts(found) -> list[str]:
    return [each.text for each in found]


def test_what_was_learned_is_translated_both_ways(translator: Translator) -> None:
    assert texts(translator.translate(TO_CHINESE, "zh")) == [*TO_CHINESE.values()]
    assert texts(translator.translate(TO_ENGLISH, "en")) == [*TO_ENGLISH.values()]
    (best,) = next(translator.translate(["Go on."], "zh")).candidates
    assert best.complete
    assert 0.3 < best.probability <= 1


def test_order_blank_lines_spaces_and_punctuation_stay(translator: Translator) -> None:
    lines = ["I see.", "", "  Go on.  ", "\t", "……", "Go on. I see.", "Go on.\n\nI see.\n", "I see."]
    want = ["我懂。", "", "  走吧。  ", "\t", "……", "走吧。我懂。", "走吧。\n\n我懂。\n", "我懂。"]
    for batch in (1, 3, 20):
        found = list(translator.translate(lines, "zh", batch=batch))
        assert texts(found) == want
        assert [each.source for each in found] == lines
    assert found[1].sentences == ()
    assert (found[1].candidates[0].log_probability, found[4].candidates[0].log_probability) == (0.0, 0.0)
    assert texts(translator.translate(["走吧。我懂。 是谁？"], "en")) == ["Go on. I see. Who is it?"]


def test_lines_are_translated_as_they_come(translator: Translator) -> None:
    asked = []

    def lines():
        for line in TO_CHINESE:
            asked.append(line)
            yield line

    found = translator.translate(lines(), "zh", batch=1)
    assert asked == []
    assert next(found).text == "走吧。"
    assert asked == ["Go on."]


def test_log_probabilities_are_those_of_scoring(translator: Translator) -> None:
    """Of the best, whose tokens are those of its text, in both directions, each from the prompt alone."""
    prompts = TranslationPrompts(translator.tokenizer, "en", "zh", examples=False)
    for found in translator.translate(TO_CHINESE, "zh", wanted=Wanted(n_best=3, alpha=0.6, back=0.7)):
        best = found.candidates[0]
        (answer,), (source,) = prompts.answers([best.text]), prompts.back().answers([found.source])
        forward = total(translator, prompts, found.source, answer)
        backward = total(translator, prompts.back(), best.text, source)
        assert best.log_probability == pytest.approx(forward, abs=0.02)
        assert best.back == pytest.approx(backward, abs=0.02)
        wanted = forward / ((6 + len(answer)) / 6) ** 0.6 + 0.7 * backward / ((6 + len(source)) / 6) ** 0.6
        assert best.score == pytest.approx(wanted, abs=0.02)
        scores = [each.score for each in found.candidates]
        assert scores == sorted(scores, reverse=True)


def total(translator: Translator, prompts: TranslationPrompts, text: str, answer: list[int]) -> float:
    reading = read(translator.model, [*prompts.prefix, *prompts.asked(text)])
    (values,) = score(reading, [answer], end=prompts.end)
    return float(values.double().sum())


def test_weighing_both_directions_changes_the_order_as_it_says(guesser: Translator) -> None:
    """λ = 0 leaves it; among the same candidates the order is that of the sums."""
    asked = [f"Who walked to {place}?" for place in ("Rome", "Oslo", "Lima")]
    plain = list(guesser.translate(asked, "zh", wanted=Wanted(n_best=4, beams=4, alpha=0.0)))
    same = list(guesser.translate(asked, "zh", wanted=Wanted(n_best=4, beams=4, alpha=0.0, back=0.0)))
    heavy = list(guesser.translate(asked, "zh", wanted=Wanted(n_best=4, beams=4, alpha=0.0, back=50.0)))
    for one, two, three in zip(plain, same, heavy, strict=True):
        assert texts(one.candidates) == texts(two.candidates)
        backs = [each.back for each in three.candidates]
        assert backs != sorted(backs) or len(set(backs)) == 1
        assert all(each.back is None for each in one.candidates)
    assert any(texts(a.candidates) != texts(b.candidates) for a, b in zip(plain, heavy, strict=True))


@pytest.mark.parametrize("n_best", [1, 3, 7])
def test_the_best_of_a_text_are_the_best_of_all_ways_to_choose(guesser: Translator, n_best: int) -> None:
    wanted = Wanted(n_best=n_best, beams=3, alpha=0.3)
    found = next(guesser.translate(["Ann came. Bob went home! Who is it?"], "zh", wanted=wanted))
    assert len(found.sentences) == 3
    ways = itertools.product(*(sentence.candidates for sentence in found.sentences))
    best = sorted(ways, key=lambda way: (all(c.complete for c in way), sum(c.score for c in way)), reverse=True)
    for each, way in zip(found.candidates, best[:n_best], strict=True):
        assert each.score == pytest.approx(sum(part.score for part in way))
        assert each.log_probability == pytest.approx(sum(part.log_probability for part in way))
        assert each.probability == pytest.approx(math.prod(part.probability for part in way))
    for sentence in found.sentences:
        assert found.source[sentence.start : sentence.end] == sentence.source


@pytest.mark.parametrize("seed", range(2))
def test_company_does_not_matter(seed: int) -> None:
    rng = random.Random(seed)
    one = Translator(byte_model(context=600, seed=seed), byte_tokenizer(), "x", examples=False)
    lines = ["".join(rng.choices("abcde .", k=rng.randint(1, 12))) + "x." for _ in range(9)]
    wanted = Wanted(n_best=2, beams=2)
    together = list(one.translate(lines, "zh", wanted=wanted, batch=9))
    for line, found in zip(lines, together, strict=True):
        (alone,) = one.translate([line], "zh", wanted=wanted)
        assert texts(alone.candidates) == texts(found.candidates)
        for a, b in zip(alone.candidates, found.candidates, strict=True):
            assert a.log_probability == pytest.approx(b.log_probability, abs=1e-3)


def test_no_translation_has_a_line_end_or_control_tokens(guesser: Translator) -> None:
    for found in guesser.translate(["Who?", "Ann came to Rome."], "zh", wanted=Wanted(n_best=5, beams=5)):
        assert all("\n" not in each.text and "<|" not in each.text for each in found.candidates)
        assert len(set(texts(found.candidates))) == len(found.candidates)


def test_errors(translator: Translator) -> None:
    def code(*arguments: object, **options: object) -> str:
        with pytest.raises(InputError) as caught:
            list(translator.translate(*arguments, **options))
        return caught.value.code

    assert code(["Go on."], "fr") == "E-TRANSLATE-LANGUAGE"
    assert code(["Go on."], "zh", source="zh") == "E-TRANSLATE-SAME"
    assert code(["走吧。"], "zh") == "E-TRANSLATE-SAME-TEXT"
    assert code(["Кто там?"], "zh") == "E-TRANSLATE-SCRIPT"
    assert code(["word " * 300], "zh") == "E-TRANSLATE-LONG"
    assert code(["好" * 400], "en", source="zh") == "E-TRANSLATE-LONG"
    for options, wanted in (
        ({"n_best": 0}, "E-N-BEST"),
        ({"beams": 0}, "E-BEAMS"),
        ({"alpha": -1.0}, "E-ALPHA"),
        ({"back": -0.5}, "E-TRANSLATE-WEIGHT"),
        ({"back": math.nan}, "E-TRANSLATE-WEIGHT"),
    ):
        with pytest.raises(InputError) as caught:
            Wanted(**options)
        assert caught.value.code == wanted


def test_a_named_source_is_not_questioned(translator: Translator) -> None:
    found: list[Translation] = list(translator.translate(["1998", "Go on."], "zh", source="en"))
    assert found[1].text == "走吧。"
    assert [each.source_language for each in found] == ["en", "en"]


def test_fields(translator: Translator) -> None:
    found = next(translator.translate(["Go on. I see."], "zh", wanted=Wanted(n_best=2, back=1.0))).to_dict()
    assert list(found) == ["source", "from", "to", "text", "candidates", "sentences", "model"]
    assert (found["source"], found["from"], found["to"], found["text"]) == (
        "Go on. I see.",
        "en",
        "zh",
        "走吧。我懂。",
    )
    names = {"text", "log_probability", "score", "back", "complete", "probability"}
    assert all(set(each) == names for each in found["candidates"])
    assert [(each["source"], each["start"], each["end"]) for each in found["sentences"]] == [
        ("Go on.", 0, 6),
        ("I see.", 7, 13),
    ]
    assert all(set(each) == names for sentence in found["sentences"] for each in sentence["candidates"])
