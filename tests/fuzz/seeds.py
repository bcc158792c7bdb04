"""Small sound files of every kind that Puna reads; each is opened unbroken before anything is broken."""

import base64
import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import save

from puna.answer.calibration import Calibration, Coefficients
from puna.tokens.gguf_vocab import TEKKEN
from puna.tokens.tokenizer import Tokenizer
from puna.tokens.vocabulary import BYTE_OF
from puna.weights.adapter import Adapter, write_adapter
from puna.weights.gguf import GgufFile
from puna.weights.gguf_adapter import write_gguf_adapter
from tests.cli.tiny_file import CHAT, write_tiny
from tests.fuzz.documents import DOCUMENTS
from tests.fuzz.forms import Pair, parse_gguf
from tests.fuzz.models import FAMILIES, ROPES, SIZES, family_gguf, folder_files, meta_files, weights
from tests.weights.raw_gguf import F32, STR, U32

WORDS = ("the", " cat", " sat", "高原")
LLAMA_3_CHAT = (
    "{{- bos_token }}"
    "{%- for m in messages %}{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim"
    " + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
MISTRAL_CHAT = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('no') }}{% endif %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
TOOLS_CHAT = (
    "{%- set ns = namespace(found=false) -%}"
    "{%- macro say(m) -%}{{ m.role | upper }}: {{ m.content | default('') | tojson }}\n{%- endmacro -%}"
    "{%- for m in messages[::-1] -%}{%- if not ns.found and m.role == 'user' -%}"
    "{%- set ns.found = true -%}{%- endif -%}{%- endfor -%}"
    "{%- for m in messages -%}{{ say(m) }}"
    "{%- endfor -%}{{ strftime_now('%d %b %Y') }}{{ messages | map(attribute='role') | join(', ') }}"
    "{% filter upper %}{{ {'a': [1, 2.5, none]} | tojson(indent=2) }}{% endfilter %}"
    "{% for k, v in {'x': 1}.items() %}{{ k ~ v }}{% endfor %}"
)


class Seed:
    """One case: its files, and which of `targets` opens it."""

    def __init__(self, name: str, target: str, files: dict[str, bytes], weight: int = 1) -> None:
        self.name, self.target, self.files, self.weight = name, target, files, weight


def make_seeds() -> list[Seed]:
    """Make all; the same bytes each time."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tiny = write_tiny(root / "tiny.gguf", words=WORDS).read_bytes()
        metadata = GgufFile(root / "tiny.gguf").metadata
        tokenizer = Tokenizer.from_gguf(metadata)
        settings = {name: json.dumps(content).encode() for name, content in tokenizer.files().items()}
        adapter = _adapter()
        write_adapter(root / "peft", adapter)
        write_gguf_adapter(root / "lora.gguf", adapter, SIZES)
        peft = {path.name: path.read_bytes() for path in sorted((root / "peft").iterdir())}
        lora = (root / "lora.gguf").read_bytes()
    calibration = {"calibration.json": _calibration()}
    size = tokenizer.vocab_size
    seeds = [
        Seed("gguf", "model", {"model.gguf": tiny}, 5),
        Seed(
            "gguf-packed",
            "model",
            {
                "model.gguf": _gguf(
                    _pieces(),
                    "gpt2",
                    32,
                    {"llama.rope.scaling.type": (STR, b"yarn"), "llama.rope.scaling.factor": (F32, 2.0)},
                )
            },
            3,
        ),
        Seed(
            "gguf-sentencepiece",
            "model",
            {
                "model.gguf": _gguf(
                    *_sentence_pieces(),
                    8,
                    {"llama.rope.scaling.type": (STR, b"linear"), "llama.rope.scaling.factor": (F32, 4.0)},
                    divisors=False,
                )
            },
            2,
        ),
        Seed("gguf-manifest", "info", {"model.gguf": tiny, "model.gguf.json": _manifest(tiny)}),
        Seed("folder-head", "model", {**settings, **folder_files(size, 8, {})}, 3),
        Seed(
            "tokenizer-sentencepiece",
            "tokens",
            {
                "tokenizer.json": _metaspace(),
                "tokenizer_config.json": b'{"bos_token":"<s>","eos_token":"</s>","legacy":false}',
                "special_tokens_map.json": b'{"bos_token":{"content":"<s>"}}',
                "chat_template.jinja": MISTRAL_CHAT.encode(),
            },
            2,
        ),
        Seed(
            "tokenizer-unigram",
            "tokens",
            {
                "tokenizer.json": _unigram(),
                "tokenizer_config.json": b'{"eos_token":"</s>","extra_special_tokens":["<x>"]}',
            },
            2,
        ),
        Seed(
            "tokenizer.model",
            "tokens",
            {
                "tokenizer.model": _protobuf(),
                "tokenizer_config.json": b'{"add_bos_token":true,"added_tokens_decoder":'
                b'{"270":{"content":"<|x|>","special":true}}}',
                "added_tokens.json": b'{"<|im_end|>":269}',
            },
            2,
        ),
        Seed(
            "tekken",
            "tokens",
            {
                "tekken.json": _tekken(),
                "generation_config.json": b'{"eos_token_id":[2,3]}',
                "chat_template.json": json.dumps({"chat_template": MISTRAL_CHAT}).encode(),
            },
            2,
        ),
        Seed("tiktoken", "tokens", {"tokenizer.model": _tiktoken(), "chat_template.jinja": LLAMA_3_CHAT.encode()}),
        Seed("peft", "adapter", {**peft, **calibration}, 2),
        Seed("lora", "adapter", {"lora.gguf": lora}, 2),
        Seed("reads-itself", "model", {**settings, **folder_files(size, 8, {}), **_own(adapter)}, 2),
        Seed("calibration", "calibration", {"given.json": _calibration()}, 2),
        *(
            Seed(f"template-{n}", "template", {"chat_template.jinja": text.encode()}, 2)
            for n, text in enumerate((CHAT, LLAMA_3_CHAT, MISTRAL_CHAT, TOOLS_CHAT))
        ),
    ]
    for rope in ROPES:
        kind = next(iter(rope.values())).get("rope_type", "linear")
        seeds.append(
            Seed(f"folder-{kind}", "model", {**settings, **folder_files(size, 8, rope, shards=kind == "yarn")})
        )
    for family in FAMILIES:
        files = {**settings, **folder_files(size, 8, {}, family=family)}
        seeds.append(Seed(f"folder-{family}", "model", files, 2))
        seeds.append(Seed(f"gguf-{family}", "model", {"model.gguf": family_gguf(files)}, 2))
    beside = {"tokenizer.model": _protobuf(), "chat_template.jinja": MISTRAL_CHAT.encode()}
    tokens = len(_sentence_pieces()[0][0])
    seeds += [Seed(f"meta-{parts}", "model", {**meta_files(tokens, parts), **beside}, 2) for parts in (1, 2)]
    seeds += [Seed(f"document-{name[6:]}", "document", {name: content}) for name, content in DOCUMENTS.items()]
    return seeds


def _pieces() -> tuple[str, ...]:
    return ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(BYTE_OF), "th", "the", "in")


def _gguf(
    pieces: tuple[Any, ...], model: str, head: int, more: dict[str, tuple[int, Any]], divisors: bool = True
) -> bytes:
    """A quantised model; where `head` is 32 the kernels in C take it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        width, ffn = 2 * head, 64
        for add, value in (
            (writer.add_block_count, 1),
            (writer.add_context_length, 512),
            (writer.add_embedding_length, width),
            (writer.add_feed_forward_length, ffn),
            (writer.add_head_count, 2),
            (writer.add_head_count_kv, 1),
            (writer.add_rope_dimension_count, head),
            (writer.add_layer_norm_rms_eps, 1e-5),
            (writer.add_rope_freq_base, 500_000.0),
            (writer.add_tokenizer_model, model),
            (writer.add_bos_token_id, 1),
            (writer.add_eos_token_id, 2),
            (writer.add_chat_template, CHAT),
        ):
            add(value)  # type: ignore[operator]
        texts, kinds, scores = pieces if model == "llama" else (pieces, [3, 3, 3, *[1] * (len(pieces) - 3)], None)
        writer.add_token_list(texts)
        writer.add_token_types(kinds)
        if scores is None:
            writer.add_tokenizer_pre("llama-bpe")
            writer.add_token_merges(["t h", "th e", "i n"])
            writer.add_add_bos_token(True)
        else:
            writer.add_token_scores(scores)
            writer.add_unk_token_id(0)
        shapes = {"token_embd": (len(texts), width), "output": (len(texts), width), "output_norm": (width,)}
        layer = {
            "attn_norm": (width,),
            "ffn_norm": (width,),
            "attn_q": (width, width),
            "attn_k": (head, width),
            "attn_v": (head, width),
        }
        layer |= {
            "attn_output": (width, width),
            "ffn_gate": (ffn, width),
            "ffn_up": (ffn, width),
            "ffn_down": (width, ffn),
        }
        shapes |= {f"blk.0.{name}": shape for name, shape in layer.items()}
        forms = ("Q4_0", "Q8_0", "Q4_1", "Q5_1", "BF16", "F16")
        for n, (name, array) in enumerate(weights(shapes).items()):
            form = gguf.GGMLQuantizationType[
                "F32" if array.ndim == 1 or array.shape[1] % 32 else forms[n % len(forms)]
            ]
            writer.add_tensor(f"{name}.weight", gguf.quantize(array, form), raw_dtype=form)
        if divisors and "llama.rope.scaling.type" not in more:
            writer.add_tensor("rope_freqs.weight", np.ones(head // 2, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        found = parse_gguf(path.read_bytes())
    found.pairs += [Pair(key.encode(), kind, value) for key, (kind, value) in more.items()]
    found.pairs.append(Pair(b"general.quantization_version", U32, 2))
    return found.raw()


def _sentence_pieces() -> tuple[tuple[list[str], list[int], list[float]], str]:
    byte = [f"<0x{i:02X}>" for i in range(256)]
    words = ["▁", "a", "t", "h", "e", "th", "▁th", "▁the", "字", "at"]
    texts = ["<unk>", "<s>", "</s>", *byte, *words]
    kinds = [2, 3, 3, *[6] * 256, *[1] * len(words)]
    scores = [0.0] * 259 + [-float(i) for i in range(len(words))]
    return (texts, kinds, scores), "llama"


def _protobuf() -> bytes:
    """The same as SentencePiece's own file, field by field."""
    (texts, kinds, scores), _ = _sentence_pieces()

    def delimited(number: int, content: bytes) -> bytes:
        size = (
            bytes([len(content)]) if len(content) < 128 else bytes([len(content) % 128 | 128, len(content) // 128])
        )
        return bytes([number << 3 | 2]) + size + content

    def piece(text: str, kind: int, score: float) -> bytes:
        return delimited(1, delimited(1, text.encode()) + b"\x15" + struct.pack("<f", score) + bytes([0x18, kind]))

    body = b"".join(map(piece, texts, kinds, scores))
    trainer = bytes([0x18, 2])  # model_type: BPE
    normalizer = delimited(1, b"identity") + bytes([0x18, 1, 0x20, 0, 0x28, 1])
    return body + delimited(2, trainer) + delimited(3, normalizer)


def _ranks() -> list[bytes]:
    return [bytes([byte]) for byte in range(256)] + [b"th", b"the", b"in", " 字".encode(), b"  "]


RANKS = len(_ranks())


def _tiktoken() -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(_ranks()))


def _tekken() -> bytes:
    vocab = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(_ranks())
    ]
    named = [
        {"rank": i, "token_str": text, "is_control": True}
        for i, text in enumerate(("<unk>", "<s>", "</s>", "[INST]", "[/INST]"))
    ]
    config = {
        "pattern": TEKKEN,
        "num_vocab_tokens": RANKS,
        "default_vocab_size": RANKS + 8,
        "default_num_special_tokens": 10,
        "version": "v3",
    }
    return json.dumps({"config": config, "vocab": vocab, "special_tokens": named}).encode()


def _metaspace() -> bytes:
    (texts, _, _), _ = _sentence_pieces()
    added = [
        {
            "id": i,
            "content": texts[i],
            "special": True,
            "normalized": False,
            "single_word": False,
            "lstrip": False,
            "rstrip": i == 2,
        }
        for i in range(3)
    ]
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": "▁"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                ],
            },
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "Split", "pattern": {"Regex": "\\n+"}, "behavior": "Isolated", "invert": False},
                    {"type": "Digits", "individual_digits": True},
                ],
            },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
            },
            "decoder": {
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                ],
            },
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "<unk>",
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": True,
                "byte_fallback": True,
                "ignore_merges": False,
                "vocab": {text: i for i, text in enumerate(texts)},
                "merges": ["t h", "▁ th", ["▁th", "e"], "a t"],
            },
        }
    ).encode()


def _unigram() -> bytes:
    (texts, _, scores), _ = _sentence_pieces()
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": i,
                    "content": texts[i],
                    "special": True,
                    "normalized": False,
                    "single_word": False,
                    "lstrip": True,
                    "rstrip": False,
                }
                for i in range(3)
            ],
            "normalizer": {"type": "NFKC"},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
            "post_processor": None,
            "decoder": {"type": "Metaspace", "replacement": "▁"},
            "model": {
                "type": "Unigram",
                "unk_id": 0,
                "byte_fallback": True,
                "vocab": [[text, score] for text, score in zip(texts, scores, strict=True)],
            },
        }
    ).encode()


def _adapter() -> Adapter:
    torch.manual_seed(1)
    width, stem = SIZES["hidden_size"], "model.layers.0."
    pairs = {
        f"{stem}self_attn.q_proj.weight": (torch.randn(2, width), torch.randn(width, 2)),
        f"{stem}self_attn.k_proj.weight": (torch.randn(2, width), torch.randn(16, 2)),
        f"{stem}mlp.down_proj.weight": (torch.randn(3, 48), torch.randn(width, 3)),
    }
    pointer = {"question": (2, 3, width), "text": (2, 3, width), "nowhere": (2, 3)}
    extra = {f"pointer.{name}": torch.randn(shape) for name, shape in pointer.items()}
    about = {
        "format": 1,
        "name": "reader",
        "base": {"name": "m", "sha256": "0" * 64, "size": 5},
        "prompt": {"examples": False},
        "reader": {"pointer": 0.5},
    }
    return Adapter(pairs, dict(zip(pairs, (1.0, 1.0, 0.5), strict=True)), extra, about)


def _own(adapter: Adapter) -> dict[str, bytes]:
    about = {key: value for key, value in adapter.about.items() if key != "base"}
    return {"puna.json": json.dumps(about).encode(), "puna-pointer.safetensors": save(dict(adapter.extra))}


def _calibration() -> bytes:
    numbers = Coefficients(1.2, 0.3, -3.0, 0.4, 0.1, -2.0, 1.0, 0.2, -0.1)
    curve = ((0.9, 0.2, 0.05), (0.5, 0.6, 0.15), (0.1, 1.0, 0.3))
    return Calibration("model", "sum", 100, numbers, curve, {"ece": 0.02, "brier": None}).to_json().encode()


def _manifest(content: bytes) -> bytes:
    import hashlib

    files = {"model.gguf": [len(content), hashlib.sha256(content).hexdigest()]}
    fields = {
        "name": "model.gguf",
        "source": "hf",
        "origin": "https://example.org",
        "asked": None,
        "revision": "abc",
        "date": "2026-01-01",
    }
    return json.dumps({**fields, "files": files, "version": 1}).encode()


BY_NAME: Callable[[], dict[str, Seed]] = lambda: {seed.name: seed for seed in make_seeds()}  # noqa: E731
