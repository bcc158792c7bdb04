"""Full training: every gradient beside that of Transformers, over texts and with untied and tied heads."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from puna.train.network import Network
from puna.train.result import tensors_of
from puna.train.student import Student
from puna.train.trees import Passage, grow
from puna.weights.checkpoint import open_checkpoint

BASE = {
    "vocab_size": 101, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
}  # fmt: skip


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_gradient_is_that_of_transformers(tmp_path, tied, dtype):
    torch.manual_seed(int(tied))
    hf = LlamaForCausalLM(LlamaConfig(**BASE, tie_word_embeddings=tied))
    for name, parameter in hf.named_parameters():
        parameter.data.normal_(1.0 if "norm" in name else 0.0, 0.3 if "norm" in name else 0.15)
    hf.save_pretrained(tmp_path)
    student = Student(Network(open_checkpoint(tmp_path), dtype, None), 0)
    texts = [torch.randint(0, 101, (size,)).tolist() for size in (40, 7, 2, 23)]
    found = student([grow(Passage(text, 0, [])) for text in texts])
    found["text"].backward()
    total = 0.0
    for text in texts:
        ids = torch.tensor([text])
        loss = hf(ids, labels=ids).loss * (len(text) - 1)
        loss.backward()
        total += float(loss.detach())
    assert float(found["text"].detach()) == pytest.approx(total, rel=1e-5 if dtype == torch.float32 else 1e-2)
    gradients = Student(Network(open_checkpoint(tmp_path), dtype, None), 0)
    with torch.no_grad():
        for name, parameter in student.trained().items():
            ours = dict(gradients.named_parameters())[name]
            ours.copy_(torch.zeros_like(ours) if parameter.grad is None else parameter.grad)
    named = dict(hf.named_parameters())
    for name, gradient in tensors_of(gradients):
        wanted = named[name].grad
        error = float((gradient - wanted).norm() / wanted.norm())
        assert error < (1e-4 if dtype == torch.float32 else 0.03), name
