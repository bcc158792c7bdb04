"""Ratios, medians and shares of the machine's limits, worked out by hand."""

import math

import pytest

from puna.bench.jobs import WRITTEN
from puna.bench.rows import row, settled
from puna.bench.work import Work
from puna.weights.checkpoint import open_checkpoint
from tests.cli.tiny_file import write_tiny

LIMITS = {"matmul_flops": 1e9, "read_bytes": 1e6}


def test_the_first_round_counts_only_alone() -> None:
    assert settled([9.0]) == 9.0
    assert settled([9.0, 1.0, 3.0, 2.0]) == 2.0


def test_more_tokens_a_second_are_better() -> None:
    found = row("prefill_512", {"puna": 300.0, "a": 100.0, "b": 200.0}, 0.5)
    assert (found.unit, found.best_peer, found.ratio, found.limit_share) == ("tokens/s", "b", 1.5, 0.5)
    assert found.peers == {"a": 100.0, "b": 200.0}


@pytest.mark.parametrize("measure", ["load", "rank_20", "first_question", "second_question", "peak_memory"])
def test_fewer_seconds_and_bytes_are_better(measure: str) -> None:
    found = row(measure, {"puna": 2.0, "a": 1.0, "b": 8.0}, None)
    assert (found.best_peer, found.ratio) == ("a", 0.5)
    assert found.unit == ("MB" if measure == "peak_memory" else "s")


def test_without_a_peer_there_is_no_ratio() -> None:
    found = row("load", {"puna": 2.0}, None)
    assert (found.puna, found.peers, found.best_peer, found.ratio) == (2.0, {}, None, None)
    assert row("load", {"a": 2.0}, None).ratio is None


def test_least_work(tmp_path) -> None:
    work = Work.of(open_checkpoint(write_tiny(tmp_path / "tiny.gguf")))
    # One layer: width 32, 4 heads and 2 key-value heads of 8, feed-forward 48; 259 tokens, the head is the embedding.
    layer = 32 * 32 * 2 + 16 * 32 * 2 + 3 * 32 * 48
    assert work.layer_weights == layer
    assert work.touched == 4 * (layer + 259 * 32 + 3 * 32)
    pairs = sum(2 * 2 * 8 * 4 * (keys + 0.5) for keys in range(10))  # a token's own key is half past, half to come
    assert work.reading(10) == pytest.approx(2 * 10 * layer + pairs + 2 * 32 * 259)
    assert work.writing(100) == work.touched + (100 + WRITTEN / 2) * (2 * 2 * 8 * 2)


def test_shares(tmp_path) -> None:
    work = Work.of(open_checkpoint(write_tiny(tmp_path / "tiny.gguf")))
    share = work.share("prefill_128", 1000.0, LIMITS)
    assert share is not None
    assert math.isclose(share, 1000 / 128 * work.reading(128) / 1e9)
    assert work.share("decode_0", 10.0, LIMITS) == pytest.approx(10 * work.writing(0) / 1e6)
    assert work.share("rank_20", 1.0, LIMITS) is None
