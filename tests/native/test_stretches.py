"""Several texts read on in one pass: a token's state depends neither on the others nor on how its text was cut."""

import random

import pytest
import torch

from puna.llama.cache import Cache
from puna.llama.packed import Stretch
from tests.native.models import make_stored, packed, random_tokens


@pytest.mark.parametrize("window", [None, 40])
def test_same_row_in_any_company(engine, window: int | None) -> None:
    """Equal to a chain that is read alone; a copied beginning too; with a sliding window as well."""
    changes = {} if window is None else {"model_type": "mistral", "sliding_window": window}
    stored = make_stored({"vocab_size": 1100, **changes}, seed=4)
    model, rng = packed(stored, engine), random.Random(8)
    with torch.inference_mode():
        texts = [random_tokens(stored, rng.randint(40, 150), seed=n).tolist() for n in range(5)]
        texts[4][:70] = texts[0][:70] = (texts[0] * 2)[:70]
        want = []
        for tokens in texts:
            alone = model.new_cache(len(tokens), span=model.config.context)
            want.append(model.packed.chain(tokens, alone).clone())
        arena = Cache(model.config, 32 * 40, span=model.config.context, dtype=model.dtype)
        done, states = [0] * 5, [[] for _ in texts]
        while any(size < len(tokens) for size, tokens in zip(done, texts, strict=True)):
            given, who = [], []
            for n in rng.sample(range(5), rng.randint(1, 5)):
                if n == 4 and not done[4]:
                    if done[0] < 70:
                        continue
                    arena.copy(0, 32 * 32, 69)  # not whole blocks; the last token is read again
                    done[4], states[4] = 69, [want[4][:69]]
                size = min(rng.choice([1, 1, 2, 3, 17, 60]), len(texts[n]) - done[n])
                if size:
                    given.append(Stretch(32 * 8 * n, done[n], texts[n][done[n] : done[n] + size]))
                    who.append(n)
            if not given:
                continue
            hidden = model.packed.stretches(given, arena)
            for n, part in zip(who, torch.split(hidden, [len(each.tokens) for each in given]), strict=True):
                states[n].append(part.clone())
                done[n] += len(part)
        for found, right in zip(states, want, strict=True):
            assert torch.equal(torch.cat(found), right)


def test_no_slot_outside(engine) -> None:
    model = packed(make_stored({}, seed=1), engine)
    arena = Cache(model.config, 64, span=64, dtype=model.dtype)
    with pytest.raises(ValueError, match="slot 64 of 64"):
        model.packed.stretches([Stretch(32, 31, [1, 2])], arena)
