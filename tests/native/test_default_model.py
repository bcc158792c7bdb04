"""The default model by the kernels, against fp32 and against torch's bf16."""

import torch

from puna.decode.generate import generate
from puna.decode.sampling import Sampling
from tests.native.models import needs_kernels

pytestmark = needs_kernels
TEXTS = [
    "The Andean plateau lies between two ranges of mountains. Its grassland, the puna, is where llamas live. In the dry "
    "season the nights are cold, and herders bring their animals down to the wetlands, where the grass stays green.",
    "珠穆朗玛峰是世界上最高的山峰，海拔8848.86米，位于中国与尼泊尔的边界上。每年春天有许多登山者来到这里。",
    "def add(a: int, b: int) -> int:\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 2 ** i), {'a': [i]})\n",
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nThe capital of France is Paris.",
]


@torch.inference_mode()
def all_log_probs(model, ids: torch.Tensor) -> torch.Tensor:
    hidden = model(ids, torch.arange(len(ids)), None, None)
    return model.logits(hidden).log_softmax(-1)


def test_no_further_from_fp32_than_torch(default_bf16, default_torch, default_fp32, default_tokenizer) -> None:
    """Over all tokens of the vocabulary at every place of some texts."""
    assert default_bf16.packed is not None
    assert default_torch.packed is None
    away = {"native": 0.0, "torch": 0.0}
    for text in TEXTS:
        ids = torch.tensor(default_tokenizer.encode(text))
        exact = all_log_probs(default_fp32, ids)
        for name, model in (("native", default_bf16), ("torch", default_torch)):
            away[name] += float((all_log_probs(model, ids) - exact).abs().mean()) / len(TEXTS)
    assert away["native"] < 1.1 * away["torch"], away
    assert away["native"] < 0.1, away


def test_writing_is_close_to_fp32(default_bf16, default_fp32, default_tokenizer) -> None:
    """One token at a time: the kernel for few rows, and its head."""
    ids = default_tokenizer.encode(TEXTS[0])
    with torch.inference_mode():
        cache = default_bf16.new_cache(len(ids))
        states = [default_bf16.read([token], cache) for token in ids]
        found = torch.cat([default_bf16.logits(each) for each in states]).log_softmax(-1)
    apart = (found - all_log_probs(default_fp32, torch.tensor(ids))).abs().mean()
    assert apart < 0.1
    chat = default_tokenizer.encode_chat([{"role": "user", "content": "What is the capital of France?"}])
    assert "Paris" in generate(default_bf16, default_tokenizer, chat, Sampling(), max_tokens=20).text
