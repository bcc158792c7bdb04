"""The scripts in bench/: what they work out against brute force, and whole runs on a model of a few kilobytes."""

import gzip
import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from puna.answer.spans import in_one_line
from tests.cli.tiny_file import write_tiny
from tests.oracle.tiny import make_pair

ROOT = Path(__file__).parents[2]
WORDS = "Ann walked from Cork to the old harbour of New York in 1921, and 30 % of it was 1,000 km.".split()


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"measuring_{name}", ROOT / "bench" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


accuracy, lengths, cold_start = script("accuracy"), script("lengths"), script("cold_start")


def text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def before(order: list[str], a: str, b: str) -> bool:
    """Say that a stands before b: what the order does not hold stands behind."""
    return a in order and (b not in order or order.index(a) < order.index(b))


def test_swaps_against_brute_force() -> None:
    rng = random.Random(1)
    seen = 0
    for _ in range(300):
        every = [chr(97 + n) for n in range(rng.randrange(1, 8))]
        scores = {each: rng.uniform(-9, 0) for each in every}
        one, other = (rng.sample(every, rng.randrange(1, len(every) + 1)) for _ in range(2))
        held = {each: scores[each] for each in every if each in one or each in other}
        wanted = [
            abs(scores[a] - scores[b]) for a in held for b in held if before(one, a, b) and before(other, b, a)
        ]
        assert sorted(accuracy.swaps(one, other, held)) == pytest.approx(sorted(wanted))
        seen += len(wanted)
    assert seen > 300
    assert accuracy.swaps(["a", "b"], ["a", "b"], {"a": -1.0, "b": -2.0}) == []


def test_change_of_perplexity_against_its_definition() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        theirs = rng.uniform(1, 4, (7, 30))
        ours = theirs + rng.normal(0.01, 0.05, theirs.shape)
        records = [{"tokens": 30, "default": a.sum(), "fp32": b.sum()} for a, b in zip(ours, theirs, strict=True)]
        above, error = accuracy.change(records)
        ratio = np.exp(ours.mean()) / np.exp(theirs.mean())
        means = (ours - theirs).mean(1)
        assert above == pytest.approx(ratio - 1)
        assert error == pytest.approx(ratio * np.sqrt(((means - means.mean()) ** 2).sum() / 6 / 7))


def test_losses_are_those_of_transformers() -> None:
    pair = make_pair({"max_position_embeddings": 256})
    ids = torch.randint(97, (50,), generator=torch.Generator().manual_seed(3))
    logits = pair.hf(ids[None]).logits[0].log_softmax(-1)
    wanted = -logits[torch.arange(49), ids[1:]]
    for step in (1, 7, 512):
        assert torch.allclose(accuracy.losses(pair.puna, ids.tolist(), step), wanted, atol=1e-4)


def test_candidates_stand_in_the_text_and_one_is_right() -> None:
    rng = random.Random(4)
    places = set()
    for number in range(100):
        context = text(rng, rng.randrange(3, 60))
        answer = rng.choice(context.split())
        found = accuracy.candidates_of(context, [answer], str(number))
        assert answer in found
        assert len(found) == len(set(found)) <= accuracy.CANDIDATES
        assert all(each in in_one_line(context) for each in found)
        assert found == accuracy.candidates_of(context, [answer], str(number))
        places.add(found.index(answer))
    assert len(places) > 5


def test_what_is_decided_and_how_often_rightly() -> None:
    rng = random.Random(5)
    records = [
        {
            "right": rng.randrange(4),
            "bytes": rng.choices(range(1, 40), k=4),
            "fp32": rng.choices(range(-90, 0), k=4),
        }
        for _ in range(200)
    ]
    plain = sum(
        max(r["fp32"]) == r["fp32"][r["right"]] and r["fp32"].index(max(r["fp32"])) == r["right"] for r in records
    )
    assert accuracy.accuracy(records, "fp32") == plain / 200
    shares = [[s / b for s, b in zip(r["fp32"], r["bytes"], strict=True)] for r in records]
    wanted = sum(s.index(max(s)) == r["right"] for s, r in zip(shares, records, strict=True))
    assert accuracy.accuracy(records, "fp32", by_byte=True) == wanted / 200


def test_fit_against_numpy() -> None:
    rng = np.random.default_rng(6)
    for _ in range(50):
        n = np.sort(rng.choice(9000, 8, replace=False) + 1).astype(float)
        a, b = rng.uniform(1e-5, 1e-3), rng.uniform(1e-9, 1e-6)
        assert lengths.fit(n, a * n + b * n**2) == pytest.approx((a, b), rel=1e-5)
        t = (a * n + b * n**2) * rng.uniform(0.7, 1.4, 8)
        wanted = np.linalg.lstsq(np.stack((n / t, n**2 / t), 1), np.ones(8), rcond=None)[0]
        assert lengths.fit(n, t) == pytest.approx(tuple(wanted), rel=1e-4)


def test_parts_add_up() -> None:
    rng = random.Random(7)
    stamps, wall, computed = {}, 100.0, 0.0
    for part in cold_start.PARTS:
        wall, computed = wall + rng.random(), computed + rng.random()
        stamps[part] = (wall, computed)
    parts = cold_start.between((100.0, 0.0), stamps)
    assert [sum(each) for each in zip(*parts.values(), strict=True)] == pytest.approx([wall - 100, computed])


def pack(path: Path, lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(lines)


def data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made-up sets, and a tiny model."""
    rng = random.Random(8)
    for name in ("wikitext2_test", "hongloumeng_zh", "war_and_peace_en"):
        pack(folder / f"text_lm/{name}.txt.gz", text(rng, 3000))
    rows: dict[str, list[dict[str, Any]]] = {"hellaswag/val_a": [], "squad20/dev_a": []}
    for n in range(6):
        endings = [text(rng, 4) for _ in range(4)]
        rows["hellaswag/val_a"].append(
            {"id": f"h{n}", "context": text(rng, 9), "candidates": endings, "answer_index": n % 4}
        )
        context = text(rng, 25)
        answers = [{"text": context.split()[n]}]
        rows["squad20/dev_a"].append({"id": f"s{n}", "context": context, "question": "Who?", "answers": answers})
    for name, each in rows.items():
        pack(folder / f"{name}.jsonl.gz", "\n".join(map(json.dumps, each)))
    monkeypatch.setenv("PUNA_DATA", str(folder))
    return write_tiny(folder / "tiny.gguf")


def test_a_run_of_accuracy_and_one_that_goes_on(tmp_path, monkeypatch, capsys) -> None:
    model, records, written = data(tmp_path, monkeypatch), tmp_path / "records.jsonl", tmp_path / "page.md"
    monkeypatch.setattr(accuracy, "WINDOW", 48)
    options = ["--model", str(model), "--output", str(records), "--markdown", str(written)]
    monkeypatch.setattr(sys, "argv", ["accuracy.py", "--limit", "2", *options])
    accuracy.main()
    first, kept = written.read_text("utf-8"), records.read_text("utf-8").splitlines()
    assert len(kept) == 7 * 2
    assert "| WikiText-2, written | 94 |" in first
    assert "| candidates | 2 |" in first
    records.write_text("\n".join([*kept[:-3], kept[-1].replace('"source": "', '"source": "other')]) + "\n", "utf-8")
    accuracy.main()
    assert written.read_text("utf-8") == first
    assert len(records.read_text("utf-8").splitlines()) == 7 * 2 + 1
    assert "candidates: 2 of 2" in capsys.readouterr().err


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process's peak and forgets it"
)
def test_a_run_of_lengths(tmp_path, monkeypatch) -> None:
    pytest.importorskip("matplotlib")
    model, written, picture = data(tmp_path, monkeypatch), tmp_path / "page.md", tmp_path / "picture.png"
    monkeypatch.setattr(lengths, "DOCUMENTS", (700,))
    options = ["--model", str(model), "--repeats", "1", "--markdown", str(written), "--plot", str(picture)]
    monkeypatch.setattr(sys, "argv", ["lengths.py", "--longest", "700", *options])
    lengths.main()
    page = written.read_text("utf-8")
    assert [line.split(" | ")[0] for line in page.splitlines() if line.startswith(("| 256", "| 512"))] == [
        "| 256",
        "| 512",
    ]
    assert page.count("| 700 |") == 2
    assert "Every character was read." in page
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak")
def test_the_parts_of_a_start(tmp_path) -> None:
    model = write_tiny(tmp_path / "tiny.gguf")
    parts, peak = cold_start.parts(["ask", "Who?", "--text", "Ann led it.", "--model", str(model)])
    assert list(parts) == list(cold_start.PARTS)
    assert all(wall >= 0 for wall, _ in parts.values())
    assert peak > 50 * 10**6
    one = {"first": 2.0, "seconds": [1.0, 4.0, 3.6], "parts": [parts], "peaks": [peak]}
    machine = {"processor": "p", "threads": 1, "python": "3", "load_average": 0.0}
    found = {"machine": machine, "torch": "2", "runs": 3, "asked": {"puna --help": {"first": 1, "seconds": [0.1]}}}
    for seconds, verdict in ((one["seconds"], "3.60 s, **not met**"), ([3.4], "3.40 s, met")):
        found["asked"]["a short text"] = {**one, "seconds": seconds}
        assert verdict in cold_start.page(found, "c")
