"""Environments of peers: made once, whole or not at all; pins agree with Puna's own."""

import zipfile
from pathlib import Path

import pytest

from puna.bench.peers import PEERS, Peer, chosen, install
from puna.errors import InputError, PeerError

ROOT = Path(__file__).parents[2]


def test_choosing() -> None:
    assert [peer.name for peer in chosen(None)] == list(PEERS)
    assert [peer.name for peer in chosen("openvino, llama.cpp,openvino")] == ["openvino", "llama.cpp"]
    assert chosen("none") == []
    with pytest.raises(InputError) as caught:
        chosen("llama.cpp,gpt\x1b")
    assert caught.value.code == "E-BENCH-PEER"
    assert "\x1b" not in str(caught.value)


def test_torch_is_the_pinned_one() -> None:
    pinned = {
        line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if line.startswith("torch")
    }
    needed = {need for peer in PEERS.values() for need in peer.needs if need.startswith("torch=")}
    assert needed == pinned


def test_everything_is_pinned_and_has_its_script() -> None:
    for peer in PEERS.values():
        assert all("==" in need for need in peer.needs)
        assert (ROOT / f"src/puna/bench/worker-scripts/{peer.script}.py").is_file()


def test_peers_with_the_same_needs_share(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path))
    folders = {name: peer.environment() for name, peer in PEERS.items()}
    assert folders["openvino"] == folders["openvino-genai"]
    assert folders["transformers-bf16"] == folders["transformers-fp32"] != folders["openvino"]
    assert all(folder.parent == tmp_path / "bench" for folder in folders.values())


def test_installing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            "tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    missing = Peer("fake", "on_fake", ("--no-index", "no-such-package"))
    with pytest.raises(PeerError) as caught:
        install(missing)
    assert caught.value.code == "E-PEER-INSTALL"
    assert "no-such-package" in str(caught.value)
    assert "no-such-package" in Path(str(caught.value.parameters["log"])).read_text("utf-8")

    peer = Peer("tiny", "on_fake", ("--no-index", str(wheel)))
    engine = install(peer)
    assert Path(engine.command[0]).is_file()
    assert list(peer.environment().rglob("tiny.py"))
    wheel.unlink()
    assert install(peer) == engine  # what is whole is not made again
