"""`/v1/embeddings`: the mean of a text's last hidden states, scaled to length 1.

The model was trained to write and not to compare texts: such vectors find texts that are nearly alike, and are no
match for those of a model made for it.
"""

import base64

import torch
from fastapi import Request
from torch import Tensor

from puna.errors import ServeError
from puna.serve.batch import Batch, check_model, prompts_of
from puna.serve.openai_schemas import Embedding, EmbeddingAsked, Embeddings, EmbeddingUsage
from puna.serve.routes import router, service_of
from puna.serve.text import Wanted

embeddings = router()


def _form(vector: Tensor, form: str) -> list[float] | str:
    unit = (vector / vector.norm().clamp_min(1e-12)).float()
    if form == "base64":
        return base64.b64encode(unit.numpy().astype("<f4").tobytes()).decode()
    found: list[float] = unit.tolist()
    return found


@embeddings.post("/v1/embeddings", response_model=Embeddings, tags=["OpenAI"])
async def embed(asked: EmbeddingAsked, request: Request) -> Embeddings:
    """Give a vector for each text: the mean of its hidden states, of length 1."""
    service = service_of(request)
    model = check_model(service, asked.model)
    if asked.dimensions is not None:
        raise ServeError("E-SERVE-UNSUPPORTED", field="dimensions")
    prompts = await prompts_of(service, asked.input)
    batch = Batch(request, [Wanted(ids, 0, pool=True) for _, ids in prompts])
    await batch.whole()
    vectors = [torch.zeros(1) if text.pooled is None else text.pooled for text in batch.texts]
    count = sum(len(ids) for _, ids in prompts)
    return Embeddings(
        data=[Embedding(index=n, embedding=_form(each, asked.encoding_format)) for n, each in enumerate(vectors)],
        model=model,
        usage=EmbeddingUsage(prompt_tokens=count, total_tokens=count),
    )
