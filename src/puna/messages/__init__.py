"""The sentences of every error code, English and Chinese, with what to do next.

One line each, no full stop; `{name}` is filled from the error's parameters.
"""

from puna.messages import (
    adapters,
    bench,
    decode,
    documents,
    evaluate,
    export,
    inputs,
    kept,
    lab,
    library,
    library_ask,
    many,
    mcp,
    models,
    pipelines,
    pull,
    serve,
    tasks,
    tokens,
    train,
    translate,
    weights,
)
from puna.messages.message import Message

__all__ = ["MESSAGES", "Message"]

MESSAGES: dict[str, Message] = {
    **inputs.MESSAGES,
    **models.MESSAGES,
    **weights.MESSAGES,
    **adapters.MESSAGES,
    **pull.MESSAGES,
    **decode.MESSAGES,
    **tokens.MESSAGES,
    **evaluate.MESSAGES,
    **export.MESSAGES,
    **train.MESSAGES,
    **translate.MESSAGES,
    **tasks.MESSAGES,
    **pipelines.MESSAGES,
    **documents.MESSAGES,
    **bench.MESSAGES,
    **kept.MESSAGES,
    **lab.MESSAGES,
    **library.MESSAGES,
    **library_ask.MESSAGES,
    **many.MESSAGES,
    **mcp.MESSAGES,
    **serve.MESSAGES,
}
