"""Sentences of models that Puna does not compute."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-ARCHITECTURE": Message(
        (
            "the model's architecture is {architecture}, which Puna does not compute",
            "computed are: {known} (model_type in config.json, general.architecture in a GGUF file)",
        ),
        (
            "模型的架构是 {architecture}，Puna 不支持",
            "支持的架构：{known}（config.json 中的 model_type，或 GGUF 文件的 general.architecture）",
        ),
    ),
    "E-MODEL-NUMBERS": Message(
        (
            "what the model computes is not a number",
            "its file is damaged; see where with: puna doctor",
        ),
        ("模型的计算结果不是数", "模型文件已损坏；请用 puna doctor 查看位置"),
    ),
    "E-CONFIG-UNKNOWN": Message(
        (
            "the model's configuration sets {key} to {value}, which Puna does not know",
            "it may change what the model computes; use another file of this model or a newer Puna",
        ),
        (
            "模型配置将 {key} 设为 {value}，Puna 不认识这一项",
            "它可能改变模型的计算，因此不能忽略；请换用此模型的其他文件或更新 Puna",
        ),
    ),
    "E-CONFIG-VALUE": Message(
        (
            "the model's configuration has {key} = {value}, wanted {wanted}",
            "the file is damaged or a model of another kind; fetch it again",
        ),
        ("模型配置中 {key} = {value}，应为 {wanted}", "文件已损坏，或是其他种类的模型；请重新获取"),
    ),
    "E-ROPE-TYPE": Message(
        (
            "the model uses rotary position embedding of type {kind}, which Puna does not know",
            "known types: {kinds}",
        ),
        ("模型使用 {kind} 类型的旋转位置编码，Puna 不认识", "支持的类型：{kinds}"),
    ),
    "E-ROPE-KEY": Message(
        (
            "the model's rotary scaling of type {kind} lacks {key}",
            "the configuration is incomplete; fetch the model again",
        ),
        ("模型的 {kind} 旋转位置缩放缺少 {key}", "配置不完整；请重新获取模型"),
    ),
}
