"""Languages by their script, and what a model reads before it translates."""

import pytest

from puna.errors import InputError
from puna.tasks.translate_prompt import TranslationPrompts, check_languages, language_of
from tests.decode.byte_model import byte_tokenizer

EXAMPLES = (
    "English: Good morning.\nChinese:早上好。\n\n"
    "English: Where is the station?\nChinese:车站在哪里？\n\n"
    "English: She has lived in Beijing for two years.\nChinese:她在北京住了两年。\n\n"
)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Who came?", "en"),
        ("谁来了？", "zh"),
        ("𠀀𠀁", "zh"),
        ("café naïve", "en"),
        ("他用 Python 写的", "zh"),  # four Han characters outweigh six letters
        ("The word 好 means good.", "en"),
        ("1998", None),
        ("……！😀", None),
        ("", None),
        (" \n", None),
    ],
)
def test_language_by_script(text: str, language: str | None) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["Кто пришёл?", "だれが来ましたか", "누가 왔어요?", "من جاء؟", "カタカナ"])
def test_other_scripts_are_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        language_of(text)
    assert caught.value.code == "E-TRANSLATE-SCRIPT"


def test_languages() -> None:
    assert check_languages(None, "zh") == check_languages("en", "zh") == "en"
    assert check_languages(None, "en") == "zh"
    for source, target, code in (
        ("zh", "zh", "E-TRANSLATE-SAME"),
        (None, "fr", "E-TRANSLATE-LANGUAGE"),
        ("de", "zh", "E-TRANSLATE-LANGUAGE"),
        (None, "", "E-TRANSLATE-LANGUAGE"),
    ):
        with pytest.raises(InputError) as caught:
            check_languages(source, target)
        assert caught.value.code == code


def test_prompts_are_two_lines_behind_the_examples() -> None:
    tokenizer = byte_tokenizer()
    prompts = TranslationPrompts(tokenizer, "en", "zh")
    assert bytes(prompts.prefix).decode() == EXAMPLES
    assert bytes(prompts.asked("Who\n came? ")).decode() == "English: Who came?\nChinese:"
    assert [bytes(each).decode() for each in prompts.answers([" 谁\n来了？"])] == ["谁 来了？"]
    assert prompts.end == ord("\n")
    back = prompts.back()
    assert bytes(back.asked("谁来了？")).decode() == "Chinese:谁来了？\nEnglish:"
    assert [bytes(each).decode() for each in back.answers(["Who came?"])] == [" Who came?"]
    trained = TranslationPrompts(tokenizer, "zh", "en", examples=False)
    assert trained.prefix == tokenizer.encode_prompt("")
    assert trained.asked("谁？") == back.asked("谁？")


def test_the_default_models_end_is_a_line_end(default_tokenizer) -> None:
    for source, target in (("en", "zh"), ("zh", "en")):
        prompts = TranslationPrompts(default_tokenizer, source, target)
        assert default_tokenizer.token_bytes(prompts.end) == b"\n"
        assert default_tokenizer.decode([*prompts.prefix, *prompts.asked("x")]).endswith(
            f"\n\n{'English: x' if source == 'en' else 'Chinese:x'}\n{'Chinese' if source == 'en' else 'English'}:"
        )
