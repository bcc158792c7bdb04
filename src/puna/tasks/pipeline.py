"""The pipelines that Transformers 5 removed, and their neighbours: the same calls, the same dictionaries.

Each is a thin cover of what Puna does anyway: `Reader.ask`, `Classifier`, `Sentiment`, `Translator`. What differs stands
in docs/pipelines.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from puna.answer.adapters import SENTIMENT, SHIPPED, TRANSLATOR
from puna.answer.reader import Reader, load
from puna.errors import InputError, shown
from puna.tasks.pipeline_base import Pipeline
from puna.tasks.pipeline_labels import TextClassification, ZeroShotClassification
from puna.tasks.pipeline_texts import QuestionAnswering, TranslationPipeline

TASKS: Mapping[str, type[Pipeline]] = {
    "question-answering": QuestionAnswering,
    "zero-shot-classification": ZeroShotClassification,
    "text-classification": TextClassification,
    "sentiment-analysis": TextClassification,
    "translation": TranslationPipeline,
    "translation_en_to_zh": TranslationPipeline,
    "translation_zh_to_en": TranslationPipeline,
}
# Arguments of loading that change no result here: there is one framework, nothing is fetched and no code is run.
_INERT = frozenset("framework use_fast trust_remote_code token use_auth_token modelcard".split())
# Those that would choose other files or other numbers; with these values they ask for what is done anyway.
_NAMED: Mapping[str, tuple[object, ...]] = {
    "config": (None,),
    "tokenizer": (None,),
    "feature_extractor": (None,),
    "image_processor": (None,),
    "processor": (None,),
    "revision": (None, "main"),
    "dtype": (None, "auto"),
    "torch_dtype": (None, "auto"),
    "device_map": (None, "auto"),
    "model_kwargs": (None, {}),
    "pipeline_class": (None,),
}
OF_LOADING = _INERT | _NAMED.keys()


def pipeline(
    task: str,
    model: str | Path | Reader | None = None,
    *,
    adapter: str | Path | None = SHIPPED,
    device: object = None,
    **arguments: Any,
) -> Pipeline:
    """Make the pipeline of a task; calling it gives the dictionaries that Transformers 4 gave.

    `task`: "question-answering", "zero-shot-classification", "text-classification" or "sentiment-analysis",
    "translation", "translation_en_to_zh" or "translation_zh_to_en". `model`: what `puna.load` takes, or a `Reader`, which
    keeps its adapter and device. `adapter`: as for `puna.load`; "shipped" is what Puna brings for the model and the task.
    `device`: as for `puna.load`, or a number as of old: -1 is the CPU, 0 the first GPU. `arguments`: those of the calls,
    which hold where a call says nothing else; and those of old that change nothing here (docs/pipelines.md lists them).
    Raises InputError for a task or an argument that there is not, and whatever `puna.load` raises.

    >>> import puna
    >>> qa = puna.pipeline("question-answering")
    >>> qa(question="Who led it?", context="The walk was led by Ann.")["answer"]  # doctest: +SKIP
    """
    kind = TASKS.get(task) if isinstance(task, str) else None
    if kind is None:
        raise InputError("E-PIPELINE-TASK", task=shown(task, 40), known=", ".join(TASKS))
    calls = {name: value for name, value in arguments.items() if not _loading(name, value, model)}
    kind.check(task, calls)
    if isinstance(model, Reader):
        if adapter != SHIPPED:
            raise InputError(
                "E-PIPELINE-VALUE", name="adapter", value=shown(str(adapter)), wanted="puna.load(adapter=…)"
            )
        return kind(task, model, calls)
    if adapter == SHIPPED:
        adapter = {TranslationPipeline: TRANSLATOR, TextClassification: SENTIMENT}.get(kind, SHIPPED)
    return kind(task, load(model, adapter=adapter, device=_device(device)), calls)


def _loading(name: str, value: object, model: object) -> bool:
    """Tell whether an argument is one of loading; raise InputError where it asks for what Puna does not do."""
    if name in _NAMED and value not in _NAMED[name]:
        if name == "tokenizer" and isinstance(value, str | Path) and str(value) == str(model):
            return True  # a model's tokenizer is its own
        wanted = ", ".join(map(str, _NAMED[name]))
        raise InputError("E-PIPELINE-VALUE", name=name, value=shown(value), wanted=wanted)
    return name in OF_LOADING


def _device(given: object) -> str | None:
    if isinstance(given, int) and not isinstance(given, bool):
        return "cpu" if given < 0 else f"cuda:{given}"
    return None if given is None else str(given)
