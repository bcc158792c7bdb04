"""All checks of one model, in the order in which they matter."""

from collections.abc import Callable, Iterator

from puna.doctor.finding import Finding, doubt, fault, fine
from puna.doctor.numbers import check_numbers
from puna.doctor.places import check_places
from puna.doctor.sense import check_sense
from puna.doctor.words import check_words, open_tokenizer
from puna.errors import InputError, ModelFileError
from puna.llama.config import LlamaConfig
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import Checkpoint


def examine(checkpoint: Checkpoint, step: Callable[[], object] = lambda: None) -> Iterator[Finding]:
    """Check a model that opens; `step` is called after each of its tensors.

    Raises ModelFileError where its configuration is one that Puna does not compute.
    """
    config = LlamaConfig.from_dict(checkpoint.config)
    yield fine("head-tied" if config.tied else "head-own")
    yield from check_places(config, checkpoint.config)
    tokenizer: Tokenizer | None = None
    try:
        tokenizer = open_tokenizer(checkpoint)
    except ModelFileError as error:
        yield fault("tokenizer", error=error)
    else:
        yield from check_words(checkpoint, tokenizer, config.vocab_size)
    sound = True
    for found in check_numbers(checkpoint, step):
        sound = sound and found.level != "error"
        yield found
    if tokenizer is None or not sound:
        return
    try:
        yield from check_sense(checkpoint, tokenizer)
    except InputError as error:  # the sentences yield nothing to read
        yield doubt("sense-unread", error=error)
