"""A tiny random Llama over bytes, and one whose every next token is told to it beforehand."""

import torch
from torch import Tensor

from puna.llama.config import LlamaConfig
from puna.llama.model import Llama
from puna.tokens.tokenizer import Tokenizer
from puna.tokens.vocabulary import BYTE_OF

CONTROL, NORMAL = 3, 1
START, END = 256, 257
ROWS = 272  # the model's vocabulary is padded, as many are
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer(template: str | None = TEMPLATE) -> Tokenizer:
    """Token i is byte i; then the start and the end of a turn."""
    letters = {byte: char for char, byte in BYTE_OF.items()}
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [letters[byte] for byte in range(256)] + ["<|im_start|>", "<|im_end|>"],
        "tokenizer.ggml.token_type": [NORMAL] * 256 + [CONTROL] * 2,
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.bos_token_id": START,
        "tokenizer.ggml.eos_token_id": END,
    }
    return Tokenizer.from_gguf(metadata | ({"tokenizer.chat_template": template} if template else {}))


def config(context: int = 64) -> LlamaConfig:
    return LlamaConfig.from_dict(
        {
            "model_type": "llama",
            "vocab_size": ROWS,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": context,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
        }
    )


def fill(model: Llama, seed: int) -> Llama:
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        parameter.data.normal_(1.0 if "norm" in name else 0.0, 0.3 if parameter.ndim == 1 else 0.4)
    return model.eval().requires_grad_(False)


def byte_model(context: int = 64, seed: int = 0) -> Llama:
    return fill(Llama(config(context)), seed)


class Scripted(Llama):
    """Says the given tokens, then the end of its turn for ever; keeps what it was given to read."""

    def __init__(self, script: bytes | list[int], context: int = 1000) -> None:
        super().__init__(config(context))
        fill(self, 0)
        self.script = [*script]
        self.heard: list[list[int]] = []
        self.said = 0

    def read(self, tokens, cache):
        self.heard.append([*tokens])
        return super().read(tokens, cache)

    def logits(self, hidden) -> Tensor:
        scores = torch.zeros(len(hidden), ROWS)
        scores[-1, self.script[self.said] if self.said < len(self.script) else END] = 50.0
        self.said += 1
        return scores
