"""Sentences of adapters."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-ADAPTER-MISSING": Message(
        (
            "{path} is no adapter: there is no {name} in it",
            "give a folder with adapter_config.json and adapter_model.safetensors, a GGUF file of one, or --adapter none",
        ),
        (
            "{path} 不是适配器：其中没有 {name}",
            "请给出含有 adapter_config.json 和 adapter_model.safetensors 的文件夹或 GGUF 文件，或用 --adapter none",
        ),
    ),
    "E-ADAPTER-KIND": Message(
        ("{path} is an adapter of kind {kind}; Puna applies LORA", "use a LoRA adapter, as PEFT writes it"),
        ("{path} 是 {kind} 类型的适配器；Puna 只支持 LORA", "请使用 PEFT 写出的 LoRA 适配器"),
    ),
    "E-ADAPTER-SETTING": Message(
        (
            "{path} sets {key} to {value}, which Puna does not apply",
            "merge the adapter into its model with the program that made it, and give that model",
        ),
        (
            "{path} 将 {key} 设为 {value}，Puna 不支持",
            "请用制作它的程序把适配器合并进模型，再使用合并后的模型",
        ),
    ),
    "E-ADAPTER-TENSOR": Message(
        (
            "{path} has a tensor {name}, which is no part of a LoRA adapter of a Llama's matrices",
            "merge the adapter into its model with the program that made it, and give that model",
        ),
        (
            "{path} 中的张量 {name} 不属于 Llama 矩阵的 LoRA 适配器",
            "请用制作它的程序把适配器合并进模型，再使用合并后的模型",
        ),
    ),
    "E-ADAPTER-PAIR": Message(
        (
            "{path} has only one of lora_A and lora_B for {name}",
            "the adapter is incomplete; fetch or write it again",
        ),
        ("{path} 中 {name} 的 lora_A 与 lora_B 只有一个", "适配器不完整；请重新获取或重新写出"),
    ),
    "E-ADAPTER-EMPTY": Message(
        ("{path} changes no matrix", "the adapter is incomplete; fetch or write it again"),
        ("{path} 没有改变任何矩阵", "适配器不完整；请重新获取或重新写出"),
    ),
    "E-ADAPTER-POINTER": Message(
        (
            "the pointer of adapter {name} does not fit a model of width {width}, or is not whole",
            "write the adapter again with puna train reader, or fetch it again",
        ),
        (
            "适配器 {name} 的指针与宽度为 {width} 的模型不匹配，或不完整",
            "请用 puna train reader 重新写出适配器，或重新获取",
        ),
    ),
    "E-ADAPTER-FACTORS": Message(
        (
            "{path}: lora_A of {name} has shape {a} and lora_B {b}, which are no factors of rank {rank}",
            "weights and configuration do not belong together; fetch or write the adapter again",
        ),
        (
            "{path}：{name} 的 lora_A 形状为 {a}，lora_B 为 {b}，不是秩为 {rank} 的因子",
            "权重与配置不匹配；请重新获取或重新写出适配器",
        ),
    ),
    "E-ADAPTER-NUMBER": Message(
        (
            "{path}: tensor {name} holds infinite numbers or NaN",
            "the training went wrong or the file is damaged; use another adapter",
        ),
        ("{path}：张量 {name} 含有无穷大或 NaN", "训练出错或文件已损坏；请换用其他适配器"),
    ),
    "E-ADAPTER-ABOUT": Message(
        (
            "{path} has {key} = {value}, which this version does not know",
            "write the adapter anew, or use a newer Puna",
        ),
        ("{path} 中 {key} = {value}，本版本不认识", "请重新写出适配器，或更新 Puna"),
    ),
    "E-ADAPTER-MODEL": Message(
        (
            "the adapter {adapter} is for {fitted} (sha256 {wanted}), not for {model} (sha256 {found})",
            "give that model with --model, or leave the adapter out: --adapter none",
        ),
        (
            "适配器 {adapter} 属于 {fitted}（sha256 {wanted}），不是 {model}（sha256 {found}）",
            "请用 --model 给出那个模型，或不用适配器：--adapter none",
        ),
    ),
    "E-ADAPTER-MATRIX": Message(
        (
            "the adapter {adapter} changes {name} of shape {shape}; in the model it is {found}",
            "the adapter is for another model: give that with --model",
        ),
        (
            "适配器 {adapter} 改变形状为 {shape} 的 {name}；模型中它是 {found}",
            "适配器属于另一个模型：请用 --model 给出那个模型",
        ),
    ),
    "E-ADAPTER-OTHER": Message(
        (
            "{path} holds more than an adapter ({name}) and is not replaced",
            "write to another folder, or move what is there",
        ),
        ("{path} 里不只有适配器（{name}），不会被替换", "请写到别的文件夹，或移走其中的内容"),
    ),
    "E-ADAPTER-WRITE": Message(
        ("the adapter {path} cannot be written: {reason}", "check space and permissions there"),
        ("无法写入适配器 {path}：{reason}", "请检查那里的空间和权限"),
    ),
}
