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
    "convergence": Known(
        "puna.lab.convergence",
        "Convergence",
        "does the norm decide how fast a model learns: RMSNorm, LayerNorm, standardisation, none",
        "归一化方式是否决定学习速度：RMSNorm、LayerNorm、标准化、无",
    ),
    "positions": Known(
        "puna.lab.positions",
        "Positions",
        "which positions stand texts longer than those learned from: rotary, learned, none, drawn",
        "哪种位置编码能应付比训练时更长的文本：旋转、可学习、无、随机抽取",
    ),
    "grouping": Known(
        "puna.lab.grouping",
        "Grouping",
        "what fewer key-value heads cost in quality and give in memory and speed: MHA, GQA, MQA",
        "减少键值头损失多少质量、换来多少内存与速度：MHA、GQA、MQA",
    ),
    "rotary": Known(
        "puna.lab.rotary",
        "Rotary",
        "what rotary positions promise: scores by distance alone, decay, and what low precision breaks",
        "旋转位置编码的性质：分数只取决于距离、随距离衰减，以及低精度造成的破坏",
    ),
    "lstm": Known(
        "puna.lab.lstm_study",
        "LstmStudy",
        "how well does the second article's LSTM reader answer, beside the reader that Puna ships",
        "第二篇文章的 LSTM 阅读器答得如何，与 Puna 自带的阅读器相比",
    ),
    "context": Known(
        "puna.lab.context_study",
        "ContextStudy",
        "which RoPE scaling reads on beyond the model's context: linear, NTK-aware, dynamic NTK, YaRN, none",
        "哪种 RoPE 缩放能读到模型上下文之外：线性、NTK、动态 NTK、YaRN、无",
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
