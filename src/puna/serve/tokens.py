"""The models and their tokenizer, as OpenAI's clients and lm-evaluation-harness ask for them."""

import asyncio
from typing import Any

from fastapi import Request

from puna.errors import InputError
from puna.serve.batch import check_model
from puna.serve.openai_schemas import CalibrationFound, ModelFound, ModelMore, ModelsFound
from puna.serve.routes import router, service_of
from puna.serve.schemas import Detokenized, PromptFound, Tokenized, TokenizerInfo, TokensFound
from puna.serve.service import Service

tokens = router()
_READS = "answers questions from texts with POST /v1/answers"
_WRITES = (
    "writes (completions, chat), ranks and labels; embeddings are means of its hidden states: it was not trained to "
    "compare texts"
)


def _models(service: Service) -> list[ModelFound]:
    reads, writes = service.models
    calibration = None
    if service.calibration:
        own = service.calibration
        calibration = CalibrationFound(rows=own.rows, curve=list(own.curve), measured=dict(own.measured))
    described = [(reads, _READS, calibration), (writes, _WRITES, None)]
    if reads == writes:
        described = [(reads, f"{_READS}; {_WRITES}", calibration)]
    return [
        ModelFound(
            id=name,
            created=0,
            owned_by="puna",
            puna=ModelMore(
                description=said,
                context=service.context,
                library=service.documents is not None,
                calibration=own,
            ),
        )
        for name, said, own in described
    ]


@tokens.get("/v1/models", response_model=ModelsFound, tags=["OpenAI"])
async def models(request: Request) -> ModelsFound:
    """List the models; each may be named in any request."""
    return ModelsFound(data=_models(service_of(request)))


@tokens.get("/v1/models/{model}", response_model=ModelFound, tags=["OpenAI"])
async def one_model(model: str, request: Request) -> ModelFound:
    """Describe a model."""
    service = service_of(request)
    check_model(service, model)
    return next(each for each in _models(service) if each.id == model)


@tokens.post("/tokenize", response_model=TokensFound, tags=["tokens"])
async def tokenize(asked: Tokenized, request: Request) -> TokensFound:
    """Cut a text into tokens; what it spells is never a control token, but BOS may stand in front."""
    service = service_of(request)
    if asked.model is not None:
        check_model(service, asked.model)
    encode = service.tokenizer.encode_prompt if asked.add_special_tokens else service.tokenizer.encode
    found = await asyncio.to_thread(encode, asked.prompt)
    return TokensFound(tokens=found, count=len(found), max_model_len=service.context)


@tokens.post("/detokenize", response_model=PromptFound, tags=["tokens"])
async def detokenize(asked: Detokenized, request: Request) -> PromptFound:
    """Put tokens together; control tokens are spelled out."""
    service = service_of(request)
    if asked.model is not None:
        check_model(service, asked.model)
    size = service.tokenizer.vocab_size
    if asked.tokens and (most := max(asked.tokens)) >= size:
        raise InputError("E-TOKEN-ID", id=most, size=size)
    return PromptFound(prompt=service.tokenizer.decode(asked.tokens, skip_special=False))


@tokens.get("/tokenizer_info", response_model=TokenizerInfo, tags=["tokens"])
async def tokenizer_info(request: Request) -> TokenizerInfo:
    """Describe the tokenizer."""
    service = service_of(request)
    files: dict[str, Any] = await asyncio.to_thread(service.tokenizer.files)
    config = files["tokenizer_config.json"]
    return TokenizerInfo(
        tokenizer_class=config["tokenizer_class"],
        bos_token=config.get("bos_token"),
        eos_token=config.get("eos_token"),
        add_bos_token=bool(service.tokenizer.encode_prompt("")),
        chat_template=config.get("chat_template"),
        vocab_size=service.tokenizer.vocab_size,
        model_max_length=service.context,
    )
