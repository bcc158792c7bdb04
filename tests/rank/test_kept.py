"""What is kept on disk: the bits of a fresh reading, whatever happens to the files."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from puna.errors import KeptError
from puna.llama.cache import Cache
from puna.llama.model import Llama
from puna.rank.kept import KeptFiles
from puna.rank.shelf import Shelf
from puna.weights.kept_folder import KeptFolder
from tests.rank.test_shelf import EXAMPLES, QUESTION, TEXT, counting, model, opened, same, window

DIGEST = "ab" * 32
ONE = 3 * 3 * 96 * 8 * 4 * 2  # bytes of the keys and values of a window's three blocks


def shelf_with(folder: Path, puna: Llama, *, digest: str = DIGEST, limit: int = 1 << 30) -> Shelf:
    return Shelf(puna, files=KeptFiles(puna, digest, KeptFolder(folder, limit=limit)))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.msg for record in caplog.records]
    caplog.clear()
    assert all(isinstance(error, KeptError) for error in found)
    return [error.code for error in found]


def window_file(folder: Path) -> Path:
    """The larger of two: that of the text, the other is that of the examples."""
    files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    assert len(files) == 2
    return files[1]


@pytest.mark.parametrize("kind", ["fp32", "bf16", "torch"])
def test_from_disk_to_the_last_bit(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the kernels too, where the machine has them: the files hold their layout."""
    puna = model() if kind == "fp32" else request.getfixturevalue(f"default_{kind}")
    rng = random.Random(1)
    prompts = []
    for _ in range(3):
        examples = [rng.randrange(90) for _ in range(33)]
        text = [rng.randrange(90) for _ in range(rng.choice([31, 64, 75]))]
        prompts.append((examples + text + [3, 4, 5], [33, 33 + len(text)]))
    for prompt in prompts:
        opened(shelf_with(tmp_path, puna), *prompt)
    counts = counting(monkeypatch)
    for prompt in prompts:
        counts.clear()
        found = opened(shelf_with(tmp_path, puna), *prompt)
        assert sum(counts) == 3
        assert same(found, opened(Shelf(puna), *prompt))


def test_examples_serve_another_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    puna = model()
    opened(shelf_with(tmp_path, puna), *window(1))
    counts = counting(monkeypatch)
    found = opened(shelf_with(tmp_path, puna), *window(2))
    assert sum(counts) == TEXT + QUESTION
    assert same(found, opened(Shelf(puna), *window(2)))


def test_it_is_safetensors(tmp_path: Path) -> None:
    """Their own library finds the cache's blocks in it, and no token of the text."""
    puna = model()
    shelf = shelf_with(tmp_path, puna)
    reading = opened(shelf, *window(1))
    path = window_file(tmp_path)
    found = load_file(path)
    for name, store in zip(("keys", "values"), reading.cache.stores, strict=True):
        assert torch.equal(found[name][:, :, : EXAMPLES + TEXT], store[:, :, : EXAMPLES + TEXT])
    with safe_open(path, "pt") as file:
        assert file.metadata().keys() == {"format", "name", "sha256"}
    assert path.stat().st_mode & 0o077 == 0


def flip(path: Path, at: float) -> None:
    raw = bytearray(path.read_bytes())
    raw[int(at * (len(raw) - 1))] ^= 4
    path.write_bytes(raw)


def rewritten(path: Path, change: Callable[[dict, dict], object]) -> None:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    path.unlink()
    change(tensors, metadata)
    save_file(tensors, path, metadata or None)


def pickled(path: Path) -> None:
    torch.save({"keys": torch.zeros(3)}, path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    **{f"a bit at {at}": lambda path, at=at: flip(path, at) for at in (0.0, 0.001, 0.01, 0.3, 0.6, 0.99, 1.0)},
    "empty": lambda path: path.write_bytes(b""),
    "cut in the header": lambda path: os.truncate(path, 30),
    "cut in the data": lambda path: os.truncate(path, path.stat().st_size - 1),
    "one byte more": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "text": lambda path: path.write_text("this is nothing of the kind\n" * 99),
    "a pickle": pickled,
    "a number": lambda path: rewritten(path, lambda tensors, _: tensors["values"].view(-1)[77].add_(1)),
    "not a number": lambda path: rewritten(path, lambda tensors, _: tensors["keys"].fill_(float("nan"))),
    "no metadata": lambda path: rewritten(path, lambda _, metadata: metadata.clear()),
    "another format": lambda path: rewritten(path, lambda _, metadata: metadata.update(format="puna kept 0")),
    "another text's": lambda path: rewritten(path, lambda _, metadata: metadata.update(name="x")),
    "another checksum": lambda path: rewritten(path, lambda _, metadata: metadata.update(sha256="0" * 64)),
    "another type": lambda path: rewritten(
        path, lambda tensors, _: tensors.update({name: each.half() for name, each in tensors.items()})
    ),
    "another shape": lambda path: rewritten(
        path, lambda tensors, _: tensors.update({name: each[:, :, :64].clone() for name, each in tensors.items()})
    ),
    "one tensor less": lambda path: rewritten(path, lambda tensors, _: tensors.pop("keys")),
    "one tensor more": lambda path: rewritten(path, lambda tensors, _: tensors.update(more=torch.zeros(1))),
    "the other's content": lambda path: path.write_bytes(
        min(path.parent.glob("*.safetensors"), key=lambda each: each.stat().st_size).read_bytes()
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_noticed_and_mended(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    puna = model()
    opened(shelf_with(tmp_path, puna), *window(1))
    path = window_file(tmp_path)
    whole = path.read_bytes()
    DAMAGES[damage](path)
    assert path.read_bytes() != whole
    counts = counting(monkeypatch)
    found = opened(shelf_with(tmp_path, puna), *window(1))
    assert warnings(caplog) in (["E-KEPT-DAMAGED"], ["E-KEPT-FOREIGN"])
    assert sum(counts) == TEXT + QUESTION
    assert same(found, opened(Shelf(puna), *window(1)))
    counts.clear()
    again = opened(shelf_with(tmp_path, puna), *window(1))
    assert counts == [QUESTION]
    assert same(again, opened(Shelf(puna), *window(1)))
    assert load_file(path).keys() == {"keys", "values"}
    assert warnings(caplog) == []


def test_a_folder_in_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It cannot be replaced; the answer is there all the same."""
    puna = model()
    opened(shelf_with(tmp_path, puna), *window(1))
    path = window_file(tmp_path)
    path.unlink()
    path.mkdir()
    assert same(opened(shelf_with(tmp_path, puna), *window(1)), opened(Shelf(puna), *window(1)))
    assert warnings(caplog) == ["E-KEPT-DAMAGED", "E-KEPT-WRITE"]


def test_one_warning_a_question(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    puna = model()
    shelf = shelf_with(tmp_path, puna)
    for number in range(5):
        opened(shelf, *window(number))
    for path in tmp_path.glob("*.safetensors"):
        flip(path, 0.5)
    shelf = shelf_with(tmp_path, puna)
    for number in range(5):
        opened(shelf, *window(number))
    assert warnings(caplog) == ["E-KEPT-FOREIGN"]


@pytest.mark.parametrize("change", ["weights", "engine", "type", "context"])
def test_what_another_model_read_is_not_found(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    puna = model()
    opened(shelf_with(tmp_path, puna), *window(1))
    digest = DIGEST
    if change == "weights":
        digest = "cd" * 32
    elif change == "engine":
        monkeypatch.setattr("puna.rank.kept._engine", lambda model: "another")
    elif change == "type":
        puna = model(dtype=torch.bfloat16)
    else:
        object.__setattr__(puna.config, "context", 1024)
    counts = counting(monkeypatch)
    opened(shelf_with(tmp_path, puna, digest=digest), *window(1))
    assert sum(counts) == EXAMPLES + TEXT + QUESTION


@pytest.mark.parametrize("cuts", [[EXAMPLES], [EXAMPLES, EXAMPLES + TEXT - 1], [EXAMPLES + TEXT]])
def test_other_cuts_are_another_reading(cuts: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    puna = model()
    tokens, _ = window(1)
    opened(shelf_with(tmp_path, puna), *window(1))
    counts = counting(monkeypatch)
    found = opened(shelf_with(tmp_path, puna), tokens, cuts)
    assert sum(counts) == len(tokens) - (EXAMPLES if cuts[0] == EXAMPLES else 0)
    assert same(found, opened(Shelf(puna), tokens, cuts))


def test_the_folder_keeps_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used go; what the question itself reads does not go for its own sake."""
    puna, room = model(), 4
    (tmp_path / "mine.safetensors").write_bytes(b"not Puna's")
    size = None
    for number in range(9):
        opened(shelf_with(tmp_path, puna, limit=room * (ONE + 1000)), *window(number))
        sizes = [path.stat().st_size for path in tmp_path.glob("?*-*.safetensors")]
        size = max(sizes)
        assert sum(sizes) <= room * (ONE + 1000)
        for order, path in enumerate(sorted(tmp_path.glob("?*-*"), key=lambda path: path.stat().st_mtime_ns)):
            os.utime(path, (order, order))
    assert size is not None
    assert (tmp_path / "mine.safetensors").exists()
    counts = counting(monkeypatch)
    opened(shelf_with(tmp_path, puna), *window(8))
    assert sum(counts) == QUESTION
    counts.clear()
    opened(shelf_with(tmp_path, puna), *window(0))
    assert sum(counts) == TEXT + QUESTION


def test_a_text_above_the_limit_is_partly_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    puna, counts = model(), counting(monkeypatch)
    for question in range(3):
        shelf = shelf_with(tmp_path, puna, limit=5 * (ONE + 1000))
        shelf.begin()
        counts.clear()
        for number in range(12):
            opened(shelf, *window(number, question))
        known = 0 if question == 0 else 4
        assert sum(counts) == 12 * QUESTION + (12 - known) * TEXT + (EXAMPLES if question == 0 else 0)
        assert warnings(caplog) == ["E-KEPT-LIMIT"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"the first half")
        raise OSError(28, "No space left on device")

    puna = model()
    with monkeypatch.context() as patch:
        patch.setattr("puna.rank.kept.save_file", full)
        shelf = shelf_with(tmp_path, puna)
        for number in range(3):
            assert same(opened(shelf, *window(number)), opened(Shelf(puna), *window(number)))
    assert warnings(caplog) == ["E-KEPT-WRITE"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    puna = model()
    (tmp_path / "file").write_text("a file, where the folder should be")
    shelf = shelf_with(tmp_path / "file", puna)
    assert same(opened(shelf, *window(1)), opened(Shelf(puna), *window(1)))
    assert "E-KEPT-WRITE" in warnings(caplog)


@pytest.mark.parametrize("step", ["save_file", "_checksum"])
def test_an_interrupted_write_leaves_nothing(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import puna.rank.kept

    real = getattr(puna.rank.kept, step)

    def breaking(*arguments: object) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    tiny = model()
    shelf = shelf_with(tmp_path, tiny)
    with monkeypatch.context() as patch:
        patch.setattr(puna.rank.kept, step, breaking)
        with pytest.raises(KeyboardInterrupt):
            opened(shelf, *window(1))
    assert list(tmp_path.iterdir()) == []
    assert same(opened(shelf, *window(1)), opened(Shelf(tiny), *window(1)))
    assert window_file(tmp_path)


def test_files_that_go_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process clears the folder between any two steps."""
    rng, puna = random.Random(2), model()
    shelf = shelf_with(tmp_path, puna, limit=3 * (ONE + 1000))
    stat = Path.stat

    def vanishing(self: Path, **options: bool) -> os.stat_result:
        if self.suffix == ".safetensors" and rng.random() < 0.3:
            self.unlink(missing_ok=True)
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", vanishing)
    for _ in range(25):
        shelf = shelf_with(tmp_path, puna, limit=3 * (ONE + 1000))
        number = rng.randrange(4)
        assert same(opened(shelf, *window(number)), opened(Shelf(puna), *window(number)))


TWO = """
import json, random, sys
from pathlib import Path
from puna.rank.shelf import Shelf
from tests.rank.test_kept import ONE, shelf_with
from tests.rank.test_shelf import model, opened, same, window
puna, rng = model(), random.Random(int(sys.argv[2]))
cold = {number: opened(Shelf(puna), *window(number)) for number in range(5)}
print("ready", flush=True)
sys.stdin.readline()
right = 0
for _ in range(60):
    number = rng.randrange(5)
    right += same(opened(shelf_with(Path(sys.argv[1]), puna, limit=4 * (ONE + 1000)), *window(number)), cold[number])
print(json.dumps(right))
"""


def test_processes_that_read_and_write_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, str(folder), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for seed in range(2)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        out, err = process.communicate()
        assert (json.loads(out), err) == (60, "")
    assert all(path.suffix == ".safetensors" for path in folder.iterdir())
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 5 * (ONE + 1000)


def test_a_cache_below_what_is_shared_is_its_own(tmp_path: Path) -> None:
    """A reading cut back into its text, and gone on with, writes nothing into what is kept."""
    puna = model()
    shelf = shelf_with(tmp_path, puna)
    first = opened(shelf, *window(1)).until(EXAMPLES + 3)
    with torch.inference_mode():
        puna.read([7] * 40, first.cache)
    assert isinstance(first.cache, Cache)
    assert same(opened(shelf, *window(1, 2)), opened(Shelf(puna), *window(1, 2)))
