"""Whether a model makes sense: how well it predicts a plain sentence of each language, and what it writes."""

import math
from collections.abc import Iterator

import torch

from puna.decode.generate import generate
from puna.decode.sampling import Sampling
from puna.doctor.finding import Finding, doubt, fault, fine
from puna.export.cost import losses, windows
from puna.llama.load import load
from puna.llama.model import Llama
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import Checkpoint

SENTENCES = {
    "en": "The capital of France is Paris. Water boils at one hundred degrees, and the sun rises in the east.",
    "zh": "北京是中国的首都。水在一百度时沸腾，太阳从东方升起。",
}
BEGINNING = "The capital of France is"
_TOKENS = 8  # written
_MOST = 128  # read of a sentence
# A model that lost its head, its row order or its scales guesses: its perplexity is near the number of tokens. One that
# reads the language at all stays far below this power of it.
_STRANGE = 0.6


def check_sense(checkpoint: Checkpoint, tokenizer: Tokenizer) -> Iterator[Finding]:
    """Load the model, read two sentences and write a few tokens; the work is bounded by tokens, not by a clock."""
    model = load(checkpoint)
    found = [(name, _perplexity(model, tokenizer, text)) for name, text in SENTENCES.items()]
    if not all(map(math.isfinite, (value for _, value in found))):
        yield fault("sense-none")
        return
    limit = model.config.vocab_size**_STRANGE
    strange = [name for name, value in found if value > limit]
    for name, value in found:
        say = doubt if name in strange else fine
        yield say(
            f"sense-{name}-strange" if name in strange else f"sense-{name}",
            value=f"{value:,.1f}",
            tokens=model.config.vocab_size,
        )
    if len(strange) == len(found) and model.config.tied and checkpoint.format == "gguf":
        yield doubt("head-lost")
    prompt = tokenizer.encode_prompt(BEGINNING)
    written = generate(model, tokenizer, prompt, Sampling(temperature=0.0), max_tokens=_TOKENS, new_text=False)
    yield fine("writes", beginning=BEGINNING, text=written.text)


def _perplexity(model: Llama, tokenizer: Tokenizer, text: str) -> float:
    cut = windows(text, tokenizer, _MOST, min(_MOST, model.config.context))
    with torch.inference_mode():
        nats = float(losses(model, cut).mean())
    return math.exp(nats) if nats < 700 else math.inf
