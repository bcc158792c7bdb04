"""Labels and examples as users write them."""

import pytest

from puna.errors import InputError
from puna.tasks.labels import Example, Label, examples_of, label_of, labels_of

GOOD = {
    "spam": Label("spam"),
    "spam: unwanted advertising": Label("spam", "unwanted advertising"),
    "垃圾：不想要的广告": Label("垃圾", "不想要的广告"),
    "a:b": Label("a:b"),
    "a：b: c": Label("a", "b: c"),
    "a: b：c": Label("a", "b：c"),
}


@pytest.mark.parametrize("text", GOOD)
def test_what_stands_behind_the_first_colon_describes(text: str) -> None:
    assert label_of(text) == GOOD[text]


def test_order_and_white_space_do_not_matter() -> None:
    assert (
        labels_of(["b", Label(" a\n x ", " y\n")])
        == (Label("a x", "y"), Label("b"))
        == labels_of([Label("a x", "y"), "b "])
    )


BAD = {
    "none": ([], "E-LABEL-NONE"),
    "one": (["a"], "E-LABEL-ONE"),
    "twice": (["a", "b", " a"], "E-LABEL-TWICE"),
    "twice, of two descriptions": ([Label("a", "x"), Label("a", "y")], "E-LABEL-TWICE"),
    "empty": (["a", " "], "E-LABEL-EMPTY"),
}


@pytest.mark.parametrize("name", BAD)
def test_labels_that_cannot_be_used(name: str) -> None:
    given, code = BAD[name]
    with pytest.raises(InputError) as caught:
        labels_of(given)
    assert caught.value.code == code


def test_one_label_may_fit_or_not() -> None:
    assert labels_of(["a"], 1) == (Label("a"),)


BAD_EXAMPLES = {
    "blank": (Example(" \n", ("a",)), False, "E-EXAMPLE-EMPTY"),
    "unknown": (Example("x", ("c",)), False, "E-EXAMPLE-LABEL"),
    "unknown among several": (Example("x", ("a", "c")), True, "E-EXAMPLE-LABEL"),
    "two": (Example("x", ("a", "b")), False, "E-EXAMPLE-MANY"),
    "no label": (Example("x", ()), False, "E-EXAMPLE-MANY"),
}


@pytest.mark.parametrize("name", BAD_EXAMPLES)
def test_examples_that_cannot_be_used(name: str) -> None:
    example, multi, code = BAD_EXAMPLES[name]
    with pytest.raises(InputError) as caught:
        examples_of([Example("fine", ("a",)), example], labels_of(["a", "b"]), multi=multi)
    assert caught.value.code == code
    assert caught.value.parameters["number"] == 2


def test_with_several_labels_an_example_may_have_none() -> None:
    assert examples_of([Example(" x ", ())], labels_of(["a"], 1), multi=True) == (Example("x", ()),)
