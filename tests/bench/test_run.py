"""Whole runs on the default model with little to do, beside peers of a few lines."""

import json
from dataclasses import replace

import pytest

from puna.bench import run as running
from puna.bench.jobs import Jobs, Plan
from puna.bench.peers import Engine, Peer
from puna.bench.report import contents, markdown, table
from puna.bench.run import Found, Settings, bench
from puna.errors import InputError, PeerError
from puna.llama.config import LlamaConfig
from puna.weights.checkpoint import open_checkpoint
from tests.bench.fakes import CRASHES, DIES_LATER, GOOD, command
from tests.cli.tiny_file import write_tiny

SMALL = Settings(Plan(read=(8,), write=(0,), rank=(2, 3), text=60), rounds=2, seconds=600)
SOURCES = {"good": GOOD, "crashes": CRASHES, "dies later": DIES_LATER}
MEASURES = "load prefill_8 decode_0 rank_2 rank_3 first_question second_question peak_memory".split()


@pytest.fixture(scope="module")
def found(default_path, tmp_path_factory) -> Found:
    folder = tmp_path_factory.mktemp("bench")

    def install(peer: Peer) -> Engine:
        if peer.name not in SOURCES:
            raise PeerError("E-PEER-INSTALL", reason="no such thing", log="somewhere")
        return Engine(peer.name, command(folder, SOURCES[peer.name]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "install", install)
        return bench(
            default_path,
            [Peer(name, "", ()) for name in [*SOURCES, "absent"]],
            SMALL,
            lambda done, total, what: None,
        )


def test_every_measure_has_a_figure_of_puna(found: Found) -> None:
    assert [row.measure for row in found.rows] == MEASURES
    assert all(row.puna and row.puna > 0 for row in found.rows)
    assert found.rounds == 2


def test_peers_that_fail_are_named_and_keep_what_they_gave(found: Found) -> None:
    assert found.errors.keys() == {"crashes", "dies later", "absent"}
    assert "the last straw" in str(found.errors["crashes"])
    assert "no more" in str(found.errors["dies later"])
    by_name = {row.measure: row for row in found.rows}
    assert by_name["prefill_8"].peers == {"good": 100.0, "dies later": 100.0}
    assert by_name["peak_memory"].peers == {"good": 7.0}
    assert by_name["rank_2"].peers == {}


def test_ratios_and_shares(found: Found) -> None:
    by_name = {row.measure: row for row in found.rows}
    decode, memory = by_name["decode_0"], by_name["peak_memory"]
    assert decode.puna
    assert decode.ratio == decode.puna / 5
    assert decode.limit_share
    assert memory.puna
    assert memory.ratio == 7 / memory.puna
    assert memory.limit_share is None
    assert found.limits["matmul_flops"] == max(found.limits["matmul_bf16"], found.limits["matmul_fp32"])


def test_json_has_the_documented_fields(found: Found) -> None:
    told = json.loads(json.dumps(found.to_json()))
    assert told.keys() == {"machine", "model", "rounds", "limits", "engines", "rows", "errors"}
    assert told["machine"]["threads"] >= 1
    for row in told["rows"]:
        assert row.keys() == {"measure", "unit", "puna", "peers", "best_peer", "ratio", "limit_share"}
    assert all(isinstance(reason, str) for reason in told["errors"].values())


def test_files(found: Found) -> None:
    files = contents(found)
    assert json.loads(files["bench.json"]) == json.loads(json.dumps(found.to_json()))
    assert files["bench.png"].startswith(b"\x89PNG\r\n\x1a\n")
    heads, lines = table(found)
    assert heads[:2] == ["puna", "good"]
    assert {len(line) for line in lines} == {len(heads) + 3}
    text = markdown(found)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {row.count("|") for row in rows} == {len(heads) + 4}
    assert "- absent failed: it cannot be installed: no such thing" in text


def test_no_round_reads_what_another_did(default_path, default_tokenizer) -> None:
    config = LlamaConfig.from_dict(open_checkpoint(default_path).config)
    jobs = Jobs(default_tokenizer, config, SMALL.plan)
    first, second = list(jobs.round(0)), list(jobs.round(1))
    assert first == list(jobs.round(0))
    reads = [job["tokens"] for job in first if job["job"] == "read"]
    assert [len(tokens) for tokens in reads] == [1, 8]
    texts = {one[name]["text"] for one in (first[-1], second[-1]) for name in ("first_question", "second_question")}
    assert len(texts) == 2
    one = first[-1]["first_question"]
    assert len(one["answers"]) == len(one["candidates"]) == 20
    assert len(set(map(tuple, first[-2]["candidates"]))) == 3


def test_what_cannot_be_measured_is_refused(tmp_path) -> None:
    short = write_tiny(tmp_path / "tiny.gguf")
    settings = Settings(Plan(), rounds=1, seconds=1)
    with pytest.raises(InputError) as caught:
        bench(short, [], settings, lambda done, total, what: None)
    assert caught.value.code == "E-BENCH-CONTEXT"


def test_a_run_without_time_measures_puna_alone(default_path, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(running, "install", lambda peer: Engine(peer.name, command(tmp_path, GOOD)))
    found = bench(default_path, [Peer("good", "", ())], replace(SMALL, seconds=0), lambda done, total, what: None)
    assert found.errors["good"].code == "E-PEER-LATE"
    assert found.rounds == 1
    assert all(row.puna and not row.peers for row in found.rows)
