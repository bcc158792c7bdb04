"""From rows to a calibration: the curve, the folds, the file of what was observed, the picture."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from puna.answer.calibration import KEPT, Calibration
from puna.answer.mixture import Window, log_sum
from puna.answer.reader import Reader
from puna.answer.settings import Settings
from puna.errors import InputError
from puna.evaluate.calibrate import FEWEST, Outcome, calibrate, curve, observe, outcome
from puna.evaluate.fit import Example, fit
from puna.evaluate.metrics import exact_match_and_f1
from puna.evaluate.partial import Partial
from puna.evaluate.plot import drawable, plot_calibration
from puna.evaluate.reliability import calibration_error
from puna.evaluate.rows import QuestionRow
from puna.llama.model import Llama
from puna.tokens.tokenizer import Tokenizer
from puna.weights.write import write_whole


def random_outcomes(rng: random.Random, count: int, ties: bool) -> list[Outcome]:
    return [
        Outcome(
            rng.randrange(4) / 4 if ties else rng.random(), rng.random() < 0.6, rng.random(), rng.random() < 0.3
        )
        for _ in range(count)
    ]


def random_examples(rng: random.Random, count: int) -> list[Example]:
    found = []
    for _ in range(count):
        scores = {f"a{n}": -rng.expovariate(0.3) for n in range(rng.randint(1, 5))}
        window = Window(scores, log_sum([*scores.values()]), -rng.expovariate(0.3), 3)
        none = rng.random() < 0.3
        right = frozenset() if none or rng.random() < 0.2 else frozenset([rng.choice(list(scores))])
        found.append(Example((window,), right, none))
    return found


@pytest.mark.parametrize("seed", range(30))
def test_the_curve_is_what_each_threshold_would_do(seed: int) -> None:
    rng = random.Random(seed)
    outcomes = random_outcomes(rng, rng.randint(1, 60), ties=bool(seed % 2))
    points = list(curve(outcomes))
    assert [p for p, _, _ in points] == sorted({o.probability for o in outcomes}, reverse=True)
    for probability, coverage, error in points:
        given = [o for o in outcomes if o.probability >= probability]
        wrong = sum(not o.right for o in given)
        assert coverage == pytest.approx(len(given) / len(outcomes))
        assert error == pytest.approx((wrong + 1) / (len(given) + 1))
        assert error > wrong / len(given) or wrong == len(given)  # never more hopeful than the rows


def test_a_long_curve_is_thinned_out() -> None:
    outcomes = random_outcomes(random.Random(1), 3000, ties=False)
    points = list(curve(outcomes))
    assert 100 < len(points) <= 400
    for probability, coverage, _ in points:
        assert coverage == pytest.approx(sum(o.probability >= probability for o in outcomes) / 3000)


def test_figures_come_from_rows_that_were_not_fitted_on() -> None:
    examples = random_examples(random.Random(5), 61)
    calibration, held, raw = calibrate(examples, "m", "mean")
    assert (calibration.model, calibration.normalise, calibration.rows) == ("m", "mean", 61)
    assert calibration.coefficients == fit(examples)
    wanted = {}
    for fold in range(5):
        rest = Calibration("m", "mean", 1, fit([e for n, e in enumerate(examples) if n % 5 != fold]), (), {})
        wanted |= {n: outcome(examples[n], rest) for n in range(fold, 61, 5)}
    assert sorted(held, key=repr) == sorted(wanted.values(), key=repr)
    assert raw == [outcome(example, None) for example in examples]
    assert calibration.curve == tuple(curve(held))
    measured = calibration.measured
    given, right = [o.probability for o in held], [o.right for o in held]
    assert measured["ece"] == calibration_error(given, right)
    assert measured["raw_ece"] == calibration_error([o.probability for o in raw], [o.right for o in raw])
    assert measured["accuracy"] == pytest.approx(sum(right) / 61)
    assert measured["unanswerable"] == pytest.approx(sum(e.unanswerable for e in examples) / 61)
    assert measured["ece"] < measured["raw_ece"]


def test_a_threshold_keeps_its_rate_on_other_rows() -> None:
    """On average: errors at the threshold, over many draws, stay below the rate asked for."""
    rates = []
    for seed in range(6):
        rng = random.Random(seed)
        calibration = calibrate(likely(rng, 150), "m")[0]
        try:
            threshold = calibration.threshold(0.2)
        except InputError:
            continue
        held = [outcome(example, calibration) for example in likely(rng, 300)]
        given = [o for o in held if o.probability >= threshold]
        rates.append(sum(not o.right for o in given) / max(len(given), 1))
    assert len(rates) > 3
    assert sum(rates) / len(rates) < 0.2


def likely(rng: random.Random, count: int) -> list[Example]:
    """What is right is drawn from the scores: the model knows something."""
    found = []
    for example in random_examples(rng, count):
        window = example.windows[0]
        weights = [math.exp(v) for v in window.candidates.values()]
        drawn = rng.choices([*window.candidates, "none"], [*weights, math.exp(window.refusal)])[0]
        right = frozenset() if drawn == "none" else frozenset([drawn])
        found.append(replace(example, right=right, unanswerable=drawn == "none"))
    return found


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_too_few_rows(count: int) -> None:
    with pytest.raises(InputError) as caught:
        calibrate(random_examples(random.Random(1), count), "m")
    assert caught.value.code == "E-ROWS-FEW"
    assert calibrate(random_examples(random.Random(1), FEWEST), "m")[0].rows == FEWEST


def test_an_example_without_candidates_has_a_wrong_answer() -> None:
    nothing = Example((Window({}, -math.inf, -2.0, 0),), frozenset(), True)
    assert outcome(nothing, None) == Outcome(0.0, False, pytest.approx(1.0), True)
    assert len(calibrate([*random_examples(random.Random(1), 30), nothing], "m")[1]) == 31


@pytest.fixture(scope="module")
def reader(default_bf16: Llama, default_tokenizer: Tokenizer) -> Reader:
    return Reader(default_bf16, default_tokenizer, "SmolLM2")


TEXT = "The walk was led by Ann Lee. It took three hours and ended in Bergen."


@pytest.mark.parametrize(("answers", "normalise"), [(("the ann lee!", "Bergen"), "sum"), ((), "byte")])
def test_what_is_observed_is_what_ask_would_say(reader: Reader, answers: tuple[str, ...], normalise: str) -> None:
    row = QuestionRow("1", TEXT, "Who led the walk?", answers, not answers)
    found = observe(reader, row, normalise)
    assert found
    assert found.unanswerable == (not answers)
    assert len(found.windows) == 1
    best = reader.ask(row.question, TEXT, top=KEPT, group=False, normalise=normalise)
    assert list(found.windows[0].candidates) == [answer.text for answer in best]
    assert found.right == {a.text for a in best if answers and exact_match_and_f1("", a.text, answers)[0] == 1}
    assert bool(found.right) == bool(answers)
    judged = outcome(found, None)
    assert judged.probability == pytest.approx(best.answers[0].probability, rel=1e-6)
    assert judged.no_answer_probability == pytest.approx(best.no_answer_probability, rel=1e-6)
    # Calibrated, by whatever coefficients, `ask` gives what the fit was made for.
    fitted = Calibration("SmolLM2", normalise, 1, fit([found]), (), {})
    said = reader.ask(row.question, TEXT, top=3, calibration=fitted, normalise=normalise)
    assert said.answers[0].probability == pytest.approx(outcome(found, fitted).probability, rel=1e-6)
    assert said.no_answer_probability == pytest.approx(outcome(found, fitted).no_answer_probability, rel=1e-6)
    assert said.certificate
    assert said.certificate.exact


@pytest.mark.parametrize(("context", "question"), [("?! …", "Who?"), (TEXT, "who " * 9000)])
def test_a_row_that_cannot_be_asked_is_none(reader: Reader, context: str, question: str) -> None:
    assert observe(reader, QuestionRow("1", context, question, (), True)) is None


def test_a_calibration_does_not_make_the_search_longer(reader: Reader) -> None:
    """The best spans may be wordings of few answers: fewer than are asked for, and no reason to look at all others."""
    fitted = calibrate(random_examples(random.Random(3), 40), "SmolLM2")[0]
    plain = reader.ask("Who led the walk?", TEXT, top=KEPT, group=False).certificate
    found = reader.ask("Who led the walk?", TEXT, top=KEPT, calibration=fitted)
    assert found.certificate
    assert plain
    assert found.certificate.exact
    assert found.certificate.nodes <= plain.nodes
    assert Settings(top=KEPT, calibration=fitted).pool == KEPT


ROWS = [QuestionRow(str(n), f"text {n}。\u2028", f"q{n}?", ("a",), False) for n in range(6)]


def observed(count: int) -> list[Example | None]:
    examples: list[Example | None] = [*random_examples(random.Random(8), count)]
    examples[1] = None
    examples[2] = Example(
        (Window({"}": -1.0, "山\u2028{": -math.inf}, -math.inf, -0.1, 2),) * 2, frozenset("}"), False
    )
    return examples


def partial(folder: Path, *, rows: list[QuestionRow] = ROWS, model: str = "m", normalise: str = "sum") -> Partial:
    return Partial(folder / "calib.json", rows, model, normalise)


def test_what_was_observed_is_kept(tmp_path: Path) -> None:
    examples, first = observed(5), partial(tmp_path)
    assert first.examples == []
    for example in examples[:3]:
        first.add(example)
    second = partial(tmp_path)
    assert second.examples == examples[:3]
    for example in examples[3:]:
        second.add(example)
    assert partial(tmp_path).examples == second.examples == examples
    second.remove()
    assert list(tmp_path.iterdir()) == []
    second.remove()


def test_a_line_cut_anywhere_is_asked_again(tmp_path: Path) -> None:
    """Whatever stood behind it too: lines stand for the rows in their places."""
    examples, whole = observed(5), partial(tmp_path)
    for example in examples:
        whole.add(example)
    content = whole.path.read_bytes()
    ends = [place for place, byte in enumerate(content) if byte == ord("\n")]
    for cut in sorted({*random.Random(2).sample(range(len(content)), 100), *ends, *(end + 1 for end in ends[:-1])}):
        whole.path.write_bytes(content[:cut])
        found = partial(tmp_path).examples
        assert found == examples[: max(sum(end < cut for end in ends) - 1, 0)]
    broken = content.split(b"\n")
    broken[3] = broken[3][:-20]
    whole.path.write_bytes(b"\n".join(broken))
    assert partial(tmp_path).examples == examples[:2]
    assert partial(tmp_path).examples == examples[:2]


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": ROWS[:5]},
        {"rows": [*ROWS[:5], replace(ROWS[5], answers=("b",))]},
        {"rows": ROWS[::-1]},
        {"model": "n"},
        {"normalise": "mean"},
    ],
    ids=["fewer rows", "another answer", "another order", "another model", "another normalisation"],
)
def test_for_anything_else_it_starts_anew(changes: dict, tmp_path: Path) -> None:
    partial(tmp_path).add(observed(3)[0])
    assert len(partial(tmp_path).examples) == 1
    assert partial(tmp_path, **changes).examples == []
    assert partial(tmp_path).examples == []


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{}\n", b"null\nnull\n", b'{"for": "x"}\nnull\n'])
def test_other_content_is_written_over(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "calib.json.part").write_bytes(content)
    found = partial(tmp_path)
    found.add(None)
    assert partial(tmp_path).examples == [None]


def unwritable(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "taken.json.part").mkdir()
    names = {
        "no folder": "none/c.json",
        "below a file": "file/c.json",
        "a folder": "folder",
        "the part": "taken.json",
    }
    return {what: tmp_path / name for what, name in names.items()} | {"no name": Path()}


@pytest.mark.parametrize("what", ["no folder", "below a file", "a folder", "the part", "no name"])
def test_where_nothing_can_be_written(what: str, tmp_path: Path) -> None:
    path = unwritable(tmp_path)[what]
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        Partial(path, ROWS, "m", "sum")
    assert caught.value.code == "E-OUTPUT-WRITE"
    if what != "the part":
        with pytest.raises(InputError) as caught:
            write_whole(path, b"x")
        assert caught.value.code == "E-OUTPUT-WRITE"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_result_is_written_over_whole(tmp_path: Path) -> None:
    path = tmp_path / "result"
    for content in (b"long content", b"", b"short"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("count", [1, 60])
def test_the_picture(count: int) -> None:
    if not drawable():
        pytest.skip("Matplotlib is not installed")
    outcomes = random_outcomes(random.Random(count), count, ties=True)
    picture = plot_calibration(outcomes, outcomes[::-1], "a model called $\\frac{1$ and $x_2")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xaeB`\x82")


def test_the_file_is_json_of_its_own_numbers(tmp_path: Path) -> None:
    calibration = calibrate(random_examples(random.Random(5), 30), "模型")[0]
    found = json.loads(calibration.to_json())
    assert found["model"] == "模型"
    assert all(math.isfinite(value) for value in found["coefficients"].values())
    assert len(found["curve"]) == len(calibration.curve)
