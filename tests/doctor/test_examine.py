"""Each check fires on a model that has the fault, and is silent on one that has none."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puna.doctor.examine import examine
from puna.doctor.finding import Finding
from puna.doctor.words import _TRIED, _losses
from puna.errors import ModelFileError
from puna.messages.doctor import FINDINGS
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from tests.cli.tiny_file import CHAT
from tests.doctor.models import LETTERS, PIECES, SIZE, Change, write_folder, write_gguf
from tests.test_messages import HAN, placeholders
from tests.tokens.kinds import KINDS, tokenizer_of, write_sentence_piece

SOUND = {
    "head-own",
    "rope",
    "rows",
    "text",
    "kinds",
    "template",
    "bos-none",
    "ends",
    "numbers",
    "sense-en",
    "sense-zh",
    "writes",
}
LLAMA_3 = "<|start_header_id|>{{ messages[0].content }}<|im_end|>"
V = "model.layers.0.self_attn.v_proj.weight"


def found(path: Path) -> dict[str, Finding]:
    findings = list(examine(open_checkpoint(path)))
    for finding in findings:
        for language in ("en", "zh"):
            what, remedy = finding.describe(language)
            assert what.isprintable()
            assert len(what) < 500
            assert bool(remedy) == (finding.level != "ok")
    return {finding.check: finding for finding in findings}


def bad(findings: dict[str, Finding]) -> dict[str, str]:
    return {check: finding.level for check, finding in findings.items() if finding.level != "ok"}


def test_a_sound_file_and_folder(tmp_path: Path) -> None:
    findings = found(write_gguf(tmp_path / "model.gguf"))
    assert set(findings) == SOUND | {"pre"}
    assert bad(findings) == {}
    assert str(findings["writes"].parameters["text"]).startswith(" ")
    findings = found(write_folder(tmp_path / "folder"))
    assert set(findings) == SOUND
    assert bad(findings) == {}


def test_the_default_model(default_path: Path) -> None:
    findings = found(default_path)
    assert bad(findings) == {}
    assert "Paris" in str(findings["writes"].parameters["text"])


def spoil(name: str, value: float, at: int = 5) -> Change:
    return lambda state: state[name].reshape(-1).__setitem__(at, value)


def all_nan(state: dict[str, np.ndarray]) -> None:
    for value in state.values():
        value[:] = np.nan


def shuffled(state: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(2)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in state:
            state[name][:] = rng.standard_normal(state[name].shape)


def headless(state: dict[str, np.ndarray]) -> None:
    """As a converter leaves it that forgot the head: the embedding takes its place."""
    state.pop("lm_head.weight")
    shuffled(state)


def overflowing(state: dict[str, np.ndarray]) -> None:
    state["lm_head.weight"][:] = 3e38


def without(*letters: int) -> list[str]:
    """The vocabulary without the tokens of these bytes: what is written with them leaves nothing."""
    names = {byte: letter for letter, byte in LETTERS.items()}
    return [f"{piece}{piece}" if piece in {names[byte] for byte in letters} else piece for piece in PIECES]


GGUF_FAULTS: dict[str, tuple[str, dict[str, Any], Change, list[str]]] = {
    "pre-absent": ("warning", {"tokenizer.ggml.pre": None}, len, PIECES),
    "tokenizer": ("error", {"tokenizer.ggml.pre": "of\x1b[2J tomorrow"}, len, PIECES),
    "text-lost": ("warning", {}, len, without(0xD7, 0xF0)),
    "kind-ordinary": ("warning", {"tokenizer.ggml.token_type": [4] * 3 + [1] * (SIZE - 3)}, len, PIECES),
    "kind-word": ("warning", {"tokenizer.ggml.eos_token_id": 80}, len, PIECES),
    "bos-twice": ("error", {"tokenizer.chat_template": "{{ bos_token }}" * 2 + CHAT}, len, PIECES),
    "bos-also": (
        "warning",
        {"tokenizer.chat_template": "{{ bos_token }}" + CHAT, "tokenizer.ggml.add_bos_token": True},
        len,
        PIECES,
    ),
    "bos-absent": ("warning", {"tokenizer.ggml.add_bos_token": True}, len, PIECES),
    "ends-unnamed": ("warning", {"tokenizer.ggml.eos_token_id": 0, "tokenizer.ggml.bos_token_id": 1}, len, PIECES),
    "ends-none": (
        "error",
        {"tokenizer.ggml.eos_token_id": None, "tokenizer.chat_template": None},
        len,
        ["<|a|>", "<|b|>", "<|c|>", *PIECES[3:]],
    ),
    "template-absent": ("warning", {"tokenizer.chat_template": None}, len, PIECES),
    "template-fails": ("error", {"tokenizer.chat_template": "{% for %}"}, len, PIECES),
    "template-strange": ("error", {"tokenizer.chat_template": LLAMA_3}, len, PIECES),
    "rope-lost": ("warning", {"llama.context_length": 131_072, "llama.rope.freq_base": 500_000.0}, len, PIECES),
    "rope-short": (
        "warning",
        {
            "llama.rope.scaling.type": "yarn",
            "llama.rope.scaling.factor": 2.0,
            "llama.rope.scaling.original_context_length": 64,
        },
        len,
        PIECES,
    ),
    "numbers-none": ("error", {}, spoil(V, np.inf), PIECES),
    "numbers-more": ("error", {}, all_nan, PIECES),
    "numbers-zero": ("warning", {}, lambda state: state[V].fill(0), PIECES),
    "sense-en-strange": ("warning", {}, shuffled, PIECES),
    "sense-zh-strange": ("warning", {}, shuffled, PIECES),
    "head-lost": ("warning", {}, headless, PIECES),
    "sense-none": ("error", {}, overflowing, PIECES),
}


@pytest.mark.parametrize("check", GGUF_FAULTS)
def test_faults_of_a_gguf_file(check: str, tmp_path: Path) -> None:
    level, keys, change, pieces = GGUF_FAULTS[check]
    findings = found(write_gguf(tmp_path / "model.gguf", keys=keys, change=change, pieces=pieces))
    assert findings[check].level == level
    company = {
        "sense-en-strange",
        "sense-zh-strange",
        "head-lost",
        "numbers-none",
        "numbers-more",
        "template-absent",
        "ends-unnamed",
    }
    assert bad(findings).keys() - {check} <= company
    if level == "error" and check.startswith(("numbers", "tokenizer")):
        assert "writes" not in findings  # what is damaged is not run


def beyond(data: dict[str, Any]) -> None:
    """One more token than there are rows, which no text has."""
    data["added_tokens"].append({**data["added_tokens"][0], "id": SIZE, "content": "<|pad|>"})


def swapped(data: dict[str, Any]) -> None:
    """The letter T is a token that has no row."""
    data["model"]["vocab"]["T"] = SIZE + 3


def uncut(data: dict[str, Any]) -> None:
    """Byte-level, but nothing writes text as bytes."""
    data["pre_tokenizer"] = None


FOLDER_FAULTS: dict[str, tuple[str, dict[str, Any], Change, Callable[[dict[str, Any]], object]]] = {
    "rows-few": ("error", {}, len, beyond),
    "sense-unread": ("warning", {}, len, swapped),
    "rope-dynamic": ("warning", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, len, len),
    "rope-short": (
        "warning",
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "original_max_position_embeddings": 64}},
        len,
        len,
    ),
    "rope-new-keys": (
        "warning",
        {"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}},
        len,
        len,
    ),
    "rope-lost": ("warning", {"max_position_embeddings": 32_768}, len, len),
    "text-lost": ("warning", {}, len, uncut),
    "ends-unnamed": ("warning", {"eos_token_id": 0, "bos_token_id": 1}, len, len),
    "kind-ordinary": ("warning", {}, len, lambda data: data["added_tokens"][1].update(special=False)),
    "numbers-none": ("error", {}, spoil("lm_head.weight", -np.inf, -1), len),
}


@pytest.mark.parametrize("check", FOLDER_FAULTS)
def test_faults_of_a_folder(check: str, tmp_path: Path) -> None:
    level, config, change, tokens = FOLDER_FAULTS[check]
    findings = found(write_folder(tmp_path / "model", config=config, change=change, tokens=tokens))
    assert findings[check].level == level
    company = {"rows-few"} | (
        {"sense-unread", "sense-en-strange", "sense-zh-strange"} if check == "text-lost" else set()
    )
    assert bad(findings).keys() - {check} <= company


def test_lost_characters_are_named(tmp_path: Path) -> None:
    """Those whose bytes have no token, as they are counted here from UTF-8 itself."""
    lost = [c for c in dict.fromkeys("".join(_TRIED)) if {0xD7, 0xF0} & set(c.encode())]
    said = found(write_gguf(tmp_path / "model.gguf", pieces=without(0xD7, 0xF0)))["text-lost"].parameters
    assert (said["count"], said["all"]) == (len(lost), len(set("".join(_TRIED))))
    assert said["characters"] == ", ".join(f"{c} U+{ord(c):X}" for c in lost[:3])


@pytest.mark.parametrize("kind", KINDS)
def test_sound_vocabularies_lose_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _losses(tokenizer_of(kind, tmp_path, monkeypatch)).check == "text"


def test_a_vocabulary_without_bytes(tmp_path: Path) -> None:
    """What it was not trained on is the unknown token, and that says nothing."""
    processor = write_sentence_piece(tmp_path, byte_fallback=False)
    tokenizer = Tokenizer.from_folder(tmp_path)
    finding = _losses(tokenizer)
    assert (finding.check, finding.level) == ("text-lost", "warning")
    unknown = {c for c in "".join(_TRIED) if processor.unk_id() in processor.encode(c)}
    assert finding.parameters["count"] == len(unknown)


MISTRAL = {"model_type": "mistral", "max_position_embeddings": 32_768}


@pytest.mark.parametrize(
    ("config", "fires"),
    [
        ({**MISTRAL, "sliding_window": 4096}, False),  # Mistral 7B v0.1
        (MISTRAL, False),  # what it leaves unsaid is 4096
        ({**MISTRAL, "sliding_window": 32_768}, True),  # a window that reaches as far as the context
    ],
)
def test_a_window_needs_no_scaling(config: dict[str, Any], fires: bool, tmp_path: Path) -> None:
    findings = found(write_folder(tmp_path / "model", config=config))
    assert bad(findings) == ({"rope-lost": "warning"} if fires else {})


@pytest.mark.parametrize(
    ("config", "fires"),
    [
        ({**MISTRAL, "sliding_window": None}, True),
        ({**MISTRAL, "sliding_window": None, "rope_theta": 1e6}, False),  # Mistral 7B v0.2 and v0.3
        ({"use_sliding_window": False, "sliding_window": 4096}, True),  # switched off
        ({"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 0}, False),
        ({"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 1}, True),  # one layer has none
    ],
)
def test_what_counts_is_the_window_of_all_layers(config: dict[str, Any], fires: bool) -> None:
    from puna.doctor.places import check_places
    from puna.llama.config import LlamaConfig

    raw = {
        "model_type": "qwen2",
        "vocab_size": 9,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 32_768,
        "rope_theta": 1e4,
        **config,
    }
    findings = list(check_places(LlamaConfig.from_dict(raw), raw))
    assert [finding.check for finding in findings] == ["rope-lost" if fires else "rope"]


@pytest.mark.parametrize(
    ("config", "silent"),
    [
        (
            {
                "max_position_embeddings": 131_072,
                "rope_theta": 500_000.0,
                "rope_scaling": {
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 8192,
                },
            },
            "Llama 3.1",
        ),
        ({"max_position_embeddings": 8192, "rope_theta": 500_000.0}, "Llama 3"),
        ({"max_position_embeddings": 4096}, "Llama 2"),
        ({"max_position_embeddings": 16_384, "rope_theta": 1e6}, "Code Llama"),
        ({"max_position_embeddings": 32_768, "rope_theta": 1e6}, "Qwen 2.5"),
        ({"max_position_embeddings": 1_048_576, "rope_theta": 3.58e9}, "a long Llama 3"),
        (
            {
                "max_position_embeddings": 131_072,
                "rope_theta": 1e6,
                "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768},
            },
            "Qwen with YaRN",
        ),
        (
            {"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}},
            "the default under the new name",
        ),
    ],
)
def test_scalings_in_use_are_sound(config: dict[str, Any], silent: str, tmp_path: Path) -> None:
    from puna.doctor.places import check_places
    from puna.llama.config import LlamaConfig

    raw = json.loads((write_folder(tmp_path / "model") / "config.json").read_text())
    raw = {key: value for key, value in {**raw, **config}.items() if value is not None}
    assert [finding.check for finding in check_places(LlamaConfig.from_dict(raw), raw)] == ["rope"], silent


def test_a_missing_head_cannot_be_opened(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "model", change=lambda state: state.pop("lm_head.weight"))
    with pytest.raises(ModelFileError) as caught:
        open_checkpoint(path)
    assert caught.value.code == "E-HEAD-MISSING"


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_numbers_are_looked_at_in_pieces(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the pieces, each bad number is counted once."""
    monkeypatch.setattr("puna.doctor.numbers._PIECE", size)
    rng = np.random.default_rng(size)
    places = rng.choice(SIZE * 288, 37, replace=False)

    def spread(state: dict[str, np.ndarray]) -> None:
        state["lm_head.weight"].reshape(-1)[places] = rng.choice([np.nan, np.inf, -np.inf], 37)

    findings = found(write_gguf(tmp_path / "model.gguf", change=spread))
    assert findings["numbers-none"].parameters["bad"] == 37
    assert findings["numbers-none"].parameters["name"] == "lm_head.weight"


def test_every_tensor_is_a_step(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_gguf(tmp_path / "model.gguf"))
    steps: list[int] = []
    list(examine(checkpoint, lambda: steps.append(1)))
    assert len(steps) == len(checkpoint.names())


@pytest.mark.parametrize("check", FINDINGS)
def test_form_of_what_is_said(check: str) -> None:
    entry = FINDINGS[check]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", check)
    assert placeholders(*entry.en) == placeholders(*entry.zh)
    assert bool(entry.en[1]) == bool(entry.zh[1])
    assert HAN.search(entry.zh[0])
    assert not any(HAN.search(text) for text in entry.en)
    for text in (*entry.en, *entry.zh):
        assert text == text.strip()
        assert "\n" not in text
        assert not text.endswith((".", "。"))


def test_every_sentence_has_a_fault_that_was_shown_here() -> None:
    shown = SOUND | {"pre", "bos", "head-tied"} | GGUF_FAULTS.keys() | FOLDER_FAULTS.keys()
    assert FINDINGS.keys() == shown
