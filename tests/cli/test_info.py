"""`puna info` against files written by the libraries that others use, and against hostile ones."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import tokenizers
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from puna.cli.info import info
from puna.cli.main import main
from puna.errors import ModelFileError
from puna.llama.describe import describe
from puna.llama.device import choose_device
from puna.llama.load import load
from puna.weights import store
from puna.weights.adapter import Adapter, write_adapter
from puna.weights.checkpoint import open_checkpoint
from tests.oracle import families

WIDTH, FFN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 64, 96, 2, 4, 2, 16, 261
FIELDS = set(
    """
    path format size_bytes name licence source revision sha256 architecture layers width heads kv_heads head_dim
    ffn_width vocab_size context norm_eps rope tied_head attention_bias output_bias mlp_bias head_norms window
    window_layers parameters tensors tokenizer engine cache_bytes_per_token adapter
    """.split()
)
HOSTILE = "a\x1b[2J\x9b31m\r\u202eb\n[bold]c[/bold] 羊驼"


def byte_pieces() -> list[str]:
    """GPT-2's names of the 256 bytes, as the tokenizers library has them, and five more tokens."""
    return [*sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()), "<|begin|>", "<|im_end|>", "aa", "bb", "cc"]


def matrices() -> dict[str, tuple[int, int]]:
    kv = KV_HEADS * HEAD_DIM
    return {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (kv, WIDTH),
        "attn_v": (kv, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (FFN, WIDTH),
        "ffn_up": (FFN, WIDTH),
        "ffn_down": (WIDTH, FFN),
    }


def write_gguf(path: Path, *, pre: str = "gpt-2", model: str = "gpt2") -> Path:
    """A tied model: embedding in Q8_0, matrices in Q4_0, norms in F32, with Llama-3 divisors of frequencies."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(HOSTILE)
    writer.add_license("apache-2.0")
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(500_000.0)
    writer.add_tokenizer_model(model)
    if model == "t5":
        writer.add_token_scores([-float(i) for i in range(VOCAB)])
        writer.add_unk_token_id(258)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(byte_pieces())
    writer.add_token_types([1] * 256 + [3, 3, 1, 1, 1])
    writer.add_token_merges([])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_chat_template("{{ messages[0]['content'] }}")

    def add(name: str, shape: tuple[int, ...], kind: str) -> None:
        data = np.ones(shape, np.float32)
        form = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, data if kind == "F32" else gguf.quantize(data, form), raw_dtype=form)

    add("token_embd.weight", (VOCAB, WIDTH), "Q8_0")
    for layer in range(LAYERS):
        for name, shape in matrices().items():
            add(f"blk.{layer}.{name}.weight", shape, "Q4_0")
        for name in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{name}.weight", (WIDTH,), "F32")
    add("output_norm.weight", (WIDTH,), "F32")
    add("rope_freqs.weight", (HEAD_DIM // 2,), "F32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_folder(path: Path, **changes: Any) -> Path:
    """An untied model with biases, in bf16, its norms in F32."""
    path.mkdir()
    kv = KV_HEADS * HEAD_DIM
    shapes = {"model.embed_tokens.weight": (VOCAB, WIDTH), "lm_head.weight": (VOCAB, WIDTH)}
    norms = {"model.norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        stem = f"model.layers.{layer}."
        for part, rows in {"q_proj": WIDTH, "k_proj": kv, "v_proj": kv, "o_proj": WIDTH}.items():
            shapes[f"{stem}self_attn.{part}.weight"] = (rows, WIDTH)
            shapes[f"{stem}self_attn.{part}.bias"] = (rows,)
        for part, shape in {"gate": (FFN, WIDTH), "up": (FFN, WIDTH), "down": (WIDTH, FFN)}.items():
            shapes[f"{stem}mlp.{part}_proj.weight"] = shape
        for part in ("input_layernorm", "post_attention_layernorm"):
            norms[f"{stem}{part}.weight"] = (WIDTH,)
    tensors = {name: torch.ones(shape, dtype=torch.bfloat16) for name, shape in shapes.items()}
    tensors |= {name: torch.ones(shape) for name, shape in norms.items()}
    save_file(tensors, path / "model.safetensors")
    config = {
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 4096,
        "rope_theta": 10_000.0,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024},
        "vocab_size": VOCAB,
        "attention_bias": True,
        "tie_word_embeddings": False,
        "eos_token_id": 257,
    }
    (path / "config.json").write_text(json.dumps(config | changes))
    core = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={piece: i for i, piece in enumerate(byte_pieces())}, merges=[])
    )
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.add_special_tokens(["<|begin|>", "<|im_end|>"])
    core.save(str(path / "tokenizer.json"))
    return path


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "model.gguf")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(info, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stderr == ""
    return result.stdout


def facts_of(path: Path) -> dict[str, Any]:
    facts = json.loads(run(str(path), "--json"))
    assert set(facts) == FIELDS
    return facts


def test_a_gguf_file(gguf_file: Path) -> None:
    facts = facts_of(gguf_file)
    assert facts["path"] == str(gguf_file)
    assert facts["size_bytes"] == gguf_file.stat().st_size
    assert (facts["format"], facts["architecture"], facts["licence"]) == ("gguf", "llama", "apache-2.0")
    assert (facts["layers"], facts["width"], facts["ffn_width"]) == (LAYERS, WIDTH, FFN)
    assert (facts["heads"], facts["kv_heads"], facts["head_dim"]) == (HEADS, KV_HEADS, HEAD_DIM)
    assert (facts["vocab_size"], facts["context"]) == (VOCAB, 512)
    assert facts["norm_eps"] == pytest.approx(1e-6)
    assert (facts["tied_head"], facts["attention_bias"], facts["mlp_bias"]) == (True, False, False)
    assert facts["rope"] == {
        "type": "divisors",
        "theta": 500_000.0,
        "factor": 1.0,
        "attention_factor": None,
        "original_context": 512,
        "options": {"divisors": [1.0] * (HEAD_DIM // 2)},
    }
    assert facts["source"] is facts["revision"] is facts["sha256"] is None


def test_tensors_as_the_reader_of_gguf_counts_them(gguf_file: Path) -> None:
    counts: dict[str, dict[str, Any]] = {}
    for tensor in gguf.GGUFReader(gguf_file).tensors:
        if tensor.name == "rope_freqs.weight":  # no parameter: nothing trains it
            continue
        kind = tensor.tensor_type.name
        entry = counts.setdefault(kind, {"type": kind, "count": 0, "parameters": 0, "bytes": 0})
        entry["count"] += 1
        entry["parameters"] += int(tensor.n_elements)
        entry["bytes"] += int(tensor.n_bytes)
    facts = facts_of(gguf_file)
    assert {entry["type"]: entry for entry in facts["tensors"]} == counts
    assert facts["parameters"] == sum(entry["parameters"] for entry in counts.values())
    sizes = [entry["bytes"] for entry in facts["tensors"]]
    assert sizes == sorted(sizes, reverse=True)


def test_its_tokenizer(gguf_file: Path) -> None:
    assert facts_of(gguf_file)["tokenizer"] == {
        "kind": "byte-level BPE",
        "model": "gpt2",
        "pre": "gpt-2",
        "vocab_size": VOCAB,
        "bos_id": 256,
        "bos": "<|begin|>",
        "eos_ids": [257],
        "eos": ["<|im_end|>"],
        "chat_template": True,
    }


def test_a_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    facts = facts_of(folder)
    kv = KV_HEADS * HEAD_DIM
    norms = (2 * LAYERS + 1) * WIDTH
    layer = 2 * WIDTH * WIDTH + 2 * kv * WIDTH + 2 * WIDTH + 2 * kv + 3 * FFN * WIDTH
    assert facts["parameters"] == 2 * VOCAB * WIDTH + LAYERS * layer + norms
    assert facts["tensors"] == [
        {
            "type": "BF16",
            "count": 2 + LAYERS * 11,
            "parameters": facts["parameters"] - norms,
            "bytes": 2 * (facts["parameters"] - norms),
        },
        {"type": "F32", "count": 2 * LAYERS + 1, "parameters": norms, "bytes": 4 * norms},
    ]
    assert (facts["format"], facts["tied_head"], facts["attention_bias"]) == ("safetensors", False, True)
    assert (facts["name"], facts["licence"]) == (None, None)
    assert facts["rope"]["type"] == "yarn"
    assert (facts["rope"]["factor"], facts["rope"]["original_context"]) == (4.0, 1024)
    assert facts["tokenizer"]["kind"] == "byte-level BPE"
    assert (facts["tokenizer"]["eos_ids"], facts["tokenizer"]["chat_template"]) == ([257], False)
    table = run(str(folder))
    assert "yarn, theta 10,000, factor 4, original context 1,024" in table
    one_file = facts_of(folder / "model.safetensors")
    assert one_file["tokenizer"] == facts["tokenizer"]


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        ("llama", {"architecture": "llama", "biases": "none"}),
        ("mistral-window", {"architecture": "mistral", "window": "9 tokens in 3 of 3 layers"}),
        ("qwen2-window", {"architecture": "qwen2", "window": "7 tokens in 2 of 3 layers", "biases": "q, k, v"}),
        ("qwen3-bias", {"architecture": "qwen3", "head norms": "of queries and keys", "biases": "q, k, v, o"}),
    ],
)
def test_what_sets_a_family_apart(case: str, lines: dict[str, str], tmp_path: Path) -> None:
    folder = families.save_new(families.make(case, families.draw(case, 0)), tmp_path / "a")
    table = {line[:16].strip(): line[16:] for line in run(str(folder)).splitlines()}
    assert {name: table.get(name) for name in lines} == lines
    assert ("window" in table, "head norms" in table) == ("window" in lines, "head norms" in lines)


def test_metas_own_folder(tmp_path: Path) -> None:
    params = {"dim": 48, "n_layers": 3, "n_heads": 8, "norm_eps": 1e-5, "vocab_size": -1, "multiple_of": 32}
    sizes = {"hidden_size": 48, "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 6}
    hf = families.make("llama", families.draw("llama", 0, intermediate_size=128, vocab_size=96, **sizes))
    folder = families.save_pth(hf, tmp_path / "a", params, shards=2, by_width=False)
    facts = facts_of(folder)
    assert (facts["format"], facts["architecture"], facts["ffn_width"]) == ("pth", "llama", 128)
    assert facts["parameters"] == sum(parameter.numel() for parameter in hf.parameters())
    assert facts["tokenizer"]["problem"]["code"] == "E-TOKENIZER-MISSING"


def test_the_table_has_every_line(gguf_file: Path) -> None:
    table = run(str(gguf_file))
    names = [line[:16].strip() for line in table.splitlines()]
    assert names == (
        "path,name,licence,format,architecture,parameters,layers,width,heads,vocabulary,context,norm eps,RoPE,"
        "biases,tensors,tensors,tensors,tokenizer,special tokens,chat template,cache,engine"
    ).split(",")
    assert str(gguf_file) in table
    assert "4 query, 2 key-value, 16 wide" in table
    assert "begin <|begin|> (256), end <|im_end|> (257)" in table
    assert "divisors 8 numbers" in table
    assert table.splitlines()[-1].split() == ["engine", "torch"]  # the kernels want heads of 32 or more


def test_the_engine_is_the_one_that_is_loaded(default_path: Path) -> None:
    checkpoint = open_checkpoint(default_path)
    assert describe(checkpoint)["engine"] == load(checkpoint, device=choose_device()).engine


def test_the_cache_takes_what_is_said(default_path: Path) -> None:
    checkpoint = open_checkpoint(default_path)
    facts, model = describe(checkpoint), load(checkpoint, device=choose_device())
    for slots in (32, 320):
        assert model.new_cache(slots).nbytes == slots * facts["cache_bytes_per_token"]


def test_a_unigram_vocabulary_has_its_name(tmp_path: Path) -> None:
    found = facts_of(write_gguf(tmp_path / "t5.gguf", model="t5"))["tokenizer"]
    assert (found["kind"], found["model"]) == ("SentencePiece unigram", "t5")


def test_hostile_text_stays_text(gguf_file: Path) -> None:
    assert facts_of(gguf_file)["name"] == HOSTILE
    for output in (run(str(gguf_file)), run(str(gguf_file), "--json")):
        assert all(char.isprintable() or char == "\n" for char in output)
        assert "[bold]c[/bold] 羊驼" in output
    assert len(run(str(gguf_file), "--json").splitlines()) == 1


def test_a_broken_tokenizer_is_a_line(tmp_path: Path) -> None:
    strange = write_gguf(tmp_path / "a.gguf", pre="none\x1b[2J")
    problem = facts_of(strange)["tokenizer"]["problem"]
    assert problem["code"] == "E-TOKENIZER-KIND"
    assert "E-TOKENIZER-KIND: " in run(str(strange))
    assert "\x1b" not in run(str(strange))
    bare = write_folder(tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    assert facts_of(bare)["tokenizer"]["problem"]["code"] == "E-TOKENIZER-MISSING"


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_theta": math.inf},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "beta_fast": "\x1b[2J"}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "beta_slow": [[1]] * 9}},
        {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "truncate": "\x1b[2J"}},
        {"rope_scaling": {"rope_type": "\x1b[2J"}},
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "\x1b[2J": 1}},
        {"\x1b[2J": "\x1b[2J"},
        {"hidden_act": "\x1b[2J"},
        {"model_type": "\x1b[2J"},
    ],
)
def test_strange_settings_are_refused_and_told_without_their_control_characters(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "model", **changes)
    with pytest.raises(ModelFileError) as caught:
        run(str(folder))
    assert str(caught.value).isprintable()


def test_what_was_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path))
    models = store.models_dir()
    models.mkdir(parents=True)
    path = write_gguf(models / "mine.gguf")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    files = {"mine.gguf": (path.stat().st_size, digest)}
    manifest = store.Manifest("mine.gguf", "url", "http://x", None, "7", "2026-01-01", files)
    store.write_manifest(path, manifest)
    facts = json.loads(run("mine", "--json"))
    assert (facts["source"], facts["revision"], facts["sha256"]) == ("url", "7", digest)
    assert digest in run("mine")
    store.write_manifest(
        path, store.Manifest("mine.gguf", "url", "http://x", None, "7", "", {"mine.gguf": (1, digest)})
    )
    assert json.loads(run("mine", "--json"))["sha256"] is None


@pytest.mark.parametrize("name", ["nothing-here", "\x1b[2J", ""])
def test_no_such_model(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        main(["info", name])
    shown = capsys.readouterr()
    assert stopped.value.code == 2
    assert shown.out == ""
    assert "E-MODEL-UNKNOWN" in shown.err
    assert "\x1b" not in shown.err


def test_an_adapter(gguf_file: Path, tmp_path: Path) -> None:
    shapes = {f"model.layers.{n}.mlp.down_proj.weight": (WIDTH, FFN) for n in range(LAYERS)}
    factors = {name: (torch.randn(n + 2, FFN), torch.randn(WIDTH, n + 2)) for n, name in enumerate(shapes)}
    about = {"base": {"name": HOSTILE, "sha256": "ab" * 32}, "prompt": {"examples": False}}
    write_adapter(tmp_path / "walker", Adapter(factors, dict.fromkeys(factors, 2.0), about=about))
    facts = json.loads(run(str(gguf_file), "--adapter", str(tmp_path / "walker"), "--json"))
    assert facts["adapter"] == {
        "name": "walker",
        "base": HOSTILE,
        "matrices": 2,
        "ranks": [2, 3],
        "parameters": 5 * (WIDTH + FFN),
        "examples": False,
        "calibrated": False,
    }
    assert facts_of(gguf_file)["adapter"] is None
    shown = run(str(gguf_file), "--adapter", str(tmp_path / "walker"))
    assert "2 matrices, rank 2, 3: 800 parameters" in shown
    assert "\x1b" not in shown
    write_adapter(
        tmp_path / "other",
        Adapter({"lm_head.weight": (torch.ones(1, 3), torch.ones(5, 1))}, {"lm_head.weight": 1.0}),
    )
    with pytest.raises(ModelFileError) as caught:
        run(str(gguf_file), "--adapter", str(tmp_path / "other"))
    assert caught.value.code == "E-ADAPTER-MATRIX"


def test_the_help_names_every_field() -> None:
    words = run("--help").replace(",", " ").replace(";", " ").split()
    assert set(words) >= FIELDS
    assert {"type", "theta", "options", "count", "bytes", "eos_ids", "problem:", "chat_template"} <= set(words)
