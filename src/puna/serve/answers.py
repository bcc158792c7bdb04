"""Puna's own routes: answers, rankings, labels; what they give is what the commands print with --json."""

from typing import Any

from fastapi import Request

from puna.answer.checks import check, sources_of
from puna.answer.settings import Options, Settings
from puna.answer.types import Source
from puna.errors import ServeError
from puna.serve.routes import finished, router, service_of, tenant_of
from puna.serve.schemas import (
    AnswersFound,
    Asked,
    Labelled,
    LabelsFound,
    ManyLabelsFound,
    Ranked,
    RankingFound,
)
from puna.tasks.labels import Example, Label, check_threshold, examples_of, label_of, labels_of

answers = router()


def _sources(asked: Asked) -> list[Source] | None:
    if asked.text is not None and asked.texts is not None:
        raise ServeError("E-SERVE-FIELD", field="texts", reason="there is text as well")
    if asked.text is not None:
        return sources_of(asked.text)
    if asked.texts is None:
        return None
    return sources_of(Source(each.name, each.text) for each in asked.texts)


@answers.post("/v1/answers", response_model=AnswersFound, tags=["Puna"])
async def ask(asked: Asked, request: Request) -> Any:
    """Answer a question: every answer ranked, with its probability and its places."""
    service, sources = service_of(request), _sources(asked)
    options: Options = {
        "top": asked.top,
        "max_words": asked.max_words,
        "max_chars": asked.max_chars,
        "exact": asked.exact,
        "max_nodes": asked.max_nodes,
        "normalise": asked.normalise,
        "group": asked.group,
        "why": asked.why,
    }
    if asked.max_error is not None:
        options["calibration"] = service.calibration
        options["max_error"] = asked.max_error
    settings = Settings(**options)
    check(asked.question, asked.candidates)
    if asked.candidates is not None:
        settings.judging()
    given: Any = sources
    if sources is None:
        given = await finished(request, service.look_up(lambda library: library.find(asked.question)))
    begun = service.ask(tenant_of(request), asked.question, given, asked.candidates, options)
    return await finished(request, begun)


@answers.post("/v1/rank", response_model=RankingFound, tags=["Puna"])
async def rank(asked: Ranked, request: Request) -> Any:
    """Rank candidates by what the model knows, without a text."""
    check(asked.question, asked.candidates)
    begun = service_of(request).rank(
        tenant_of(request), asked.question, asked.candidates, asked.top, asked.normalise
    )
    return await finished(request, begun)


@answers.post("/v1/classify", response_model=LabelsFound | ManyLabelsFound, tags=["Puna"])
async def classify(asked: Labelled, request: Request) -> Any:
    """Give a text, or several, the labels that fit."""
    if (asked.text is None) == (asked.texts is None):
        raise ServeError("E-SERVE-FIELD", field="text", reason="give text or texts, one of them")
    given = [
        label_of(each) if isinstance(each, str) else Label(each.name, each.description) for each in asked.labels
    ]
    names = labels_of(given, 1 if asked.multi else 2)
    shown = [Example(each.text, tuple(each.labels)) for each in asked.examples]
    examples = examples_of(shown, names, multi=asked.multi)
    check_threshold(asked.threshold)
    texts = [asked.text] if asked.text is not None else asked.texts or []
    begun = service_of(request).classify(
        tenant_of(request),
        texts,
        names,
        examples,
        multi=asked.multi,
        threshold=asked.threshold,
        prior=asked.prior,
    )
    found = await finished(request, begun)
    return found[0] if asked.text is not None else {"data": found}
