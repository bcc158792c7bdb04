"""A whole GGUF model of a few kilobytes, tokenizer and chat template included, for the command's tests."""

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny(
    path: Path,
    *,
    template: str = CHAT,
    architecture: str = "llama",
    rope: str | None = None,
    words: Sequence[str] = (),
    head: int = 8,
    ffn: int = 48,
) -> Path:
    """One layer, four heads, random weights; the vocabulary: the 256 bytes, and `words` with all their beginnings."""
    width = 4 * head
    merges: dict[str, None] = {}
    for word in words:
        characters = [[_letter(byte) for byte in character.encode()] for character in word]
        for parts in (*characters, ["".join(each) for each in characters]):
            merges |= dict.fromkeys(f"{''.join(parts[:n])} {parts[n]}" for n in range(1, len(parts)))
    pieces = [merge.replace(" ", "") for merge in merges]
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), *pieces]
    rng = np.random.default_rng(5)

    def weights(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32) * shape[-1] ** -0.5

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_context_length(1024)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    if rope:
        writer.add_string("llama.rope.scaling.type", rope)
        writer.add_float32("llama.rope.scaling.factor", 2.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3, *[1] * (256 + len(pieces))])
    writer.add_token_merges(list(merges))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(template)
    writer.add_tensor("token_embd.weight", weights(len(tokens), width))
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    keys = 2 * head, width
    shapes = {"attn_q": (width, width), "attn_k": keys, "attn_v": keys, "attn_output": (width, width)}
    shapes |= {"ffn_gate": (ffn, width), "ffn_up": (ffn, width), "ffn_down": (width, ffn)}
    for name, shape in shapes.items():
        writer.add_tensor(f"blk.0.{name}.weight", weights(*shape))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _letter(byte: int) -> str:
    """How GPT-2's vocabularies write a byte: as itself where it can be seen, else as one of those from U+0100 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return chr(byte if byte in seen else 256 + sum(other not in seen for other in range(byte)))
