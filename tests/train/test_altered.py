"""Questions altered for the shipped reader's training: what they keep, and what they take from the text."""

import random

import pytest
from altered import altered

NAMES = ("Ann Wood", "Bert Hill", "Carl Stone", "Dora Field")
CHINESE = ("《红楼梦》", "《西游记》", "《水浒传》")


@pytest.mark.parametrize("seed", range(20))
def test_a_name_gives_way_to_another_of_the_text(seed: int) -> None:
    draw = random.Random(seed)
    asked, answer, *others = draw.sample(NAMES, 4)
    years = [str(year) for year in draw.sample(range(1800, 2000), 2)]
    context = f"In {years[0]}, the painter {asked} met {answer}. In {years[1]}, {others[0]} and {others[1]} left."
    found = altered(f"Whom did {asked} meet first?", context, [answer], draw)
    assert found in [f"Whom did {other} meet first?" for other in others]


@pytest.mark.parametrize("seed", range(10))
def test_a_year_gives_way_to_another_year(seed: int) -> None:
    draw = random.Random(seed)
    one, two = draw.sample(range(1800, 2000), 2)
    context = f"The bridge was built in {one} by many people. It was torn down in {two} by a few."
    assert altered(f"Who built it in {one}?", context, ["many people"], draw) == f"Who built it in {two}?"


@pytest.mark.parametrize(
    ("question", "context", "wanted"),
    [
        ("which is the largest lake?", "some lakes are large", "which is the smallest lake?"),
        ("最大的湖在哪里？", "有很多湖。", "最小的湖在哪里？"),
        ("比賽何時開始？", "這是比賽。", "比賽何時結束？"),
    ],
)
def test_else_a_word_gives_way_to_its_opposite(question: str, context: str, wanted: str) -> None:
    assert altered(question, context, ["x"], random.Random(0)) == wanted


def test_a_title_in_chinese_gives_way_to_another() -> None:
    context = f"{CHINESE[0]}的作者是曹雪芹。{CHINESE[1]}的作者是吴承恩。{CHINESE[2]}的作者是施耐庵。"
    found = {
        altered(f"请问{CHINESE[0]}的作者是谁？", context, ["曹雪芹"], random.Random(seed)) for seed in range(20)
    }
    assert found == {f"请问{title}的作者是谁？" for title in CHINESE[1:]}


def test_what_has_nothing_to_alter_is_left_or_seldom_negated() -> None:
    found = [altered("what is it?", "a thing.", ["thing"], random.Random(seed)) for seed in range(400)]
    assert set(found) == {None, "what isn't it?"}
    assert 30 < sum(each is not None for each in found) < 90
    assert altered("what fish?", "a fish.", ["x"], random.Random(0)) is None
