"""The studies by name. A study's module is imported when it is run; listing them imports none."""

import importlib
from dataclasses import dataclass

from puna.errors import InputError, shown
from puna.lab.study import Study


@dataclass(frozen=True, slots=True)
class Known:
    """Where a study is (module, name of its class), and what it asks in one line, English and Chinese."""

    module: str
    name: str
    en: str
    zh: str

    def title(self, language: str) -> str:
        """Give the line in "en" or "zh"."""
        return self.zh if language == "zh" else self.en


STUDIES: dict[str, Known] = {
    "lstm": Known(
        "puna.lab.lstm_study",
        "LstmStudy",
        "the second article's LSTM reader, trained, beside the reader that Puna ships",
        "第二篇文章的 LSTM 阅读器（经训练）与 Puna 自带阅读器的比较",
    ),
    "context": Known(
        "puna.lab.context_study",
        "ContextStudy",
        "perplexity and passkey retrieval beyond the model's context, by RoPE scaling",
        "超出模型上下文时各种 RoPE 缩放的困惑度与密钥检索",
    ),
}


def open_study(name: str) -> Study:
    """Import a study and make it. Raises InputError for an unknown name."""
    if name not in STUDIES:
        raise InputError("E-LAB-UNKNOWN", name=shown(name), known=", ".join(STUDIES))
    known = STUDIES[name]
    made = getattr(importlib.import_module(known.module), known.name)()
    if not isinstance(made, Study):
        raise TypeError(f"{known.module}.{known.name} is no Study")
    return made
