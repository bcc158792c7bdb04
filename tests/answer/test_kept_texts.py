"""Further questions about texts that were read before: the answers of a reader that has read nothing."""

import os
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import puna
from puna.answer.prompt import CHINESE, ENGLISH, wording_of
from puna.answer.reader import Reader
from puna.errors import InputError
from puna.llama.model import Llama
from puna.tokens.tokenizer import Tokenizer
from puna.weights import identity
from puna.weights.kept_folder import KeptFolder
from tests.cli.tiny_file import write_tiny
from tests.rank.test_shelf import counting

WORDS = "Ann Bob came went saw the a ship in May 1921 . . of fourteen geologists 山 海 高。\n".split(" ")
QUESTIONS = ["Who came?", "When did the ship go?", "山多高？", "What did the fourteen geologists see in May 1921?"]


def answer(reader: Reader, question: str, text: Any, **options: Any) -> dict[str, Any]:
    """Everything that a question gives but its time."""
    found = asdict(reader.ask(question, text, **options))
    del found["elapsed_ms"]
    return found


def some_text(rng: random.Random, words: int) -> str:
    return "Ann " + " ".join(rng.choice(WORDS) for _ in range(words))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.gguf")


def test_any_order_gives_what_fresh_readers_give(tiny: Path, tmp_path: Path) -> None:
    """Long texts and short ones, any bound, from memory and from disk, explained, proven and read ahead."""
    rng = random.Random(6)
    texts = [some_text(rng, size) for size in (3, 40, 90, 300)]
    kept = tmp_path / "kept"
    readers = [puna.load(tiny, memory=memory) for memory in (0, 10**5, 10**9)]
    readers.append(puna.load(tiny, memory=10**6, keep=KeptFolder(kept, limit=3 * 10**5)))
    for _ in range(25):
        question = rng.choice(QUESTIONS)
        given = rng.choice(texts)
        if rng.random() < 0.3:
            given = [puna.Source("one", rng.choice(texts)), puna.Source("two", given)]
        options = rng.choice([{}, {}, {"why": True}, {"exact": True}, {"candidates": ["Ann", "a ship"]}])
        want = answer(puna.load(tiny, memory=0), question, given, **options)
        readers[-1] = puna.load(tiny, keep=KeptFolder(kept, limit=3 * 10**5))
        for reader in readers:
            if rng.random() < 0.2:
                reader.read(given)
            assert answer(reader, question, given, **options) == want
        assert sum(file.size for file in KeptFolder(kept).files()) <= 3 * 10**5


@pytest.mark.parametrize("kind", ["bf16", "torch"])
def test_the_default_model(kind: str, request: pytest.FixtureRequest, default_tokenizer: Tokenizer) -> None:
    """By the kernels, where the machine has them, and by torch."""
    model: Llama = request.getfixturevalue(f"default_{kind}")
    text = "The walk was led by Ann Lee on 3 May. " + "Nothing else was written down that week. " * 140
    reader = Reader(model, default_tokenizer, "default")
    reader.read(text)
    for question in ("Who led the walk?", "When?"):
        fresh = Reader(model, default_tokenizer, "default", memory=0)
        assert answer(reader, question, text, max_words=2) == answer(fresh, question, text, max_words=2)


def test_a_further_question_reads_itself_alone(
    default_bf16: Llama, default_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As does the first where the text was read ahead; both wordings."""
    lengths = counting(monkeypatch)
    reader = Reader(default_bf16, default_tokenizer, "default")
    english = "The walk was led by Ann Lee. " + "".join(f"Nothing came in week {n}. " for n in range(180))
    chinese = "大桥于1937年5月通车。" + "".join(f"第{n}周没有别的记录。" for n in range(140))
    for text, question in ((english, "Who led the walk?"), (chinese, "大桥什么时候通车？")):
        seen: list[tuple[int, int]] = []
        coverage = reader.read(text, progress=lambda *step, to=seen: to.append(step))
        assert coverage.read == coverage.characters == len(text)
        assert len(seen) == coverage.windows > 1
        assert len(lengths) == coverage.windows + 1  # and the examples
        lengths.clear()
        reader.ask(question, text, ["Ann", "1937"])
        assert len(lengths) == coverage.windows
        assert max(lengths) < 40
        lengths.clear()


def test_reading_can_be_stopped_and_gone_on_with(tiny: Path) -> None:
    reader, text = puna.load(tiny), some_text(random.Random(3), 300)
    done = 0

    def count(step: int, total: int) -> None:
        nonlocal done
        done = step

    coverage = reader.read(text, progress=count, stop=lambda: done == 2)
    assert coverage.windows == 2
    assert 0 < coverage.read < coverage.characters
    assert reader.read(text, stop=lambda: True).windows == 0
    assert reader.read(text).read == len(text)


def test_bad_input(tiny: Path) -> None:
    with pytest.raises(InputError) as caught:
        puna.load(tiny).read(" ")
    assert caught.value.code == "E-TEXT-EMPTY"
    with pytest.raises(InputError) as caught:
        puna.load(tiny, memory=-1)
    assert caught.value.code == "E-MEMORY"


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        ("Ann came.", ENGLISH),
        ("安来了。", CHINESE),
        ("使用 PyTorch 训练模型。", CHINESE),
        ("The word 山 means mountain; it is an old word.", ENGLISH),
        ("1921", ENGLISH),
    ],
)
def test_the_wording_of_a_text(text: str, wording: object) -> None:
    assert wording_of([text]) is wording


def test_a_model_that_has_changed_reads_anew(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same path, the same size: what the old one had read goes, and nobody gets its answers."""
    monkeypatch.setattr(identity, "_SETTLED", -(10**18))
    kept, text = tmp_path / "kept", some_text(random.Random(1), 60)
    before = answer(puna.load(tiny, keep=kept), "Who came?", text)
    old = {file.path for file in KeptFolder(kept).files()}
    raw = bytearray(tiny.read_bytes())
    for at in range(len(raw) - 4000, len(raw) - 1000, 4):
        raw[at + 2] ^= 0x40  # a half of a number
    raw_time = tiny.stat().st_mtime_ns
    tiny.write_bytes(raw)
    os.utime(tiny, ns=(raw_time, raw_time))
    found = answer(puna.load(tiny, keep=kept), "Who came?", text)
    assert found == answer(puna.load(tiny), "Who came?", text)
    assert found != before
    assert [record.msg.code for record in caplog.records] == ["E-KEPT-STALE"]
    assert old
    assert not old & {file.path for file in KeptFolder(kept).files()}


def test_keep_is_the_users_cache(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))
    puna.load(tiny).ask("Who?", "Ann came.")
    assert not (tmp_path / "cache").exists()
    puna.load(tiny, keep=True).ask("Who?", "Ann came.")
    assert KeptFolder(tmp_path / "cache" / "kept").files()
