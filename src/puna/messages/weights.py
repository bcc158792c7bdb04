"""Sentences of model files."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-WEIGHTS-MISSING": Message(
        ("there is no model file {path}", "check the path, or fetch the model with: puna pull"),
        ("找不到模型文件 {path}", "请检查路径，或用 puna pull 获取模型"),
    ),
    "E-WEIGHTS-EMPTY": Message(
        ("{path} is empty", "fetch the file again, and compare its size or sha256 with the publisher's"),
        ("{path} 是空文件", "请重新获取文件，并与发布者给出的大小或 sha256 比对"),
    ),
    "E-WEIGHTS-READ": Message(
        ("{path} cannot be read: {reason}", "check the file and its permissions"),
        ("无法读取 {path}：{reason}", "请检查文件及其权限"),
    ),
    "E-WEIGHTS-KIND": Message(
        (
            "{path} is no model file that Puna knows",
            "give a GGUF file, or a folder with config.json and safetensors files",
        ),
        ("{path} 不是 Puna 支持的模型文件", "请提供 GGUF 文件，或含有 config.json 与 safetensors 文件的文件夹"),
    ),
    "E-WEIGHTS-LFS": Message(
        (
            "{path} is only a Git LFS pointer, not the model itself",
            "fetch the file itself: git lfs pull, or puna pull",
        ),
        ("{path} 只是 Git LFS 指针，不是模型本身", "请获取文件本身：git lfs pull 或 puna pull"),
    ),
    "E-WEIGHTS-PICKLE": Message(
        (
            "{path} is a pickle or an archive of one, which can run code when opened; Puna does not open it",
            "use the model's safetensors or GGUF files; only Meta's consolidated.*.pth beside params.json are read",
        ),
        (
            "{path} 是 pickle 或其压缩包，打开时可能执行代码；Puna 不会打开",
            "请使用该模型的 safetensors 或 GGUF 文件；pickle 中只读取 Meta 的 consolidated.*.pth（需有 params.json）",
        ),
    ),
    "E-PTH-CODE": Message(
        (
            "{path} names {name}, which weights do not need and which could run code; it was not opened",
            "do not trust this file; get the model from its makers, or as safetensors or GGUF",
        ),
        (
            "{path} 引用了 {name}，权重不需要它，而且它可能执行代码；文件未被打开",
            "请勿信任该文件；请从模型发布方获取，或使用 safetensors、GGUF 文件",
        ),
    ),
    "E-PTH-DAMAGED": Message(
        (
            "{path} is damaged, or no file of weights as torch writes them: {reason}",
            "fetch the file again, or use the model's safetensors or GGUF files",
        ),
        (
            "{path} 已损坏，或不是 torch 写出的权重文件：{reason}",
            "请重新获取该文件，或使用该模型的 safetensors、GGUF 文件",
        ),
    ),
    "E-PTH-SHARDS": Message(
        (
            "{path} has {count} files consolidated.NN.pth that do not go together: see {last}",
            "they are numbered from 00 on without a gap, and come from one model; fetch all of them",
        ),
        (
            "{path} 中的 {count} 个 consolidated.NN.pth 文件互不匹配：见 {last}",
            "文件应从 00 起连续编号，且来自同一模型；请获取全部文件",
        ),
    ),
    "E-GGUF-VERSION": Message(
        (
            "{path} is GGUF of version {version}; Puna reads versions 2 and 3",
            "convert the model again with current tools, or use another file of it",
        ),
        ("{path} 是第 {version} 版 GGUF；Puna 支持第 2、3 版", "请用新版工具重新转换模型，或换用此模型的其他文件"),
    ),
    "E-GGUF-ENDIAN": Message(
        (
            "{path} is a big-endian GGUF file; Puna reads little-endian ones",
            "use the little-endian file of this model",
        ),
        ("{path} 是大端序 GGUF 文件；Puna 只读小端序", "请使用该模型的小端序文件"),
    ),
    "E-GGUF-TRUNCATED": Message(
        (
            "{path} is cut short or damaged: of {size} bytes, and at byte {offset} at least {missing} more are due",
            "fetch the file again, and compare its size or sha256 with the publisher's",
        ),
        (
            "{path} 不完整或已损坏：共 {size} 字节，在第 {offset} 字节处至少还缺 {missing} 字节",
            "请重新获取文件，并与发布者给出的大小或 sha256 比对",
        ),
    ),
    "E-GGUF-COUNT": Message(
        (
            "{path} claims {count} items at byte {offset}, where at most {limit} are possible",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        (
            "{path} 在第 {offset} 字节处声称有 {count} 项，最多只可能有 {limit} 项",
            "文件已损坏或含恶意内容；请从可信来源重新获取",
        ),
    ),
    "E-GGUF-STRING": Message(
        (
            "{path} claims a text of {length} bytes at byte {offset}, where at most {limit} are allowed",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        (
            "{path} 在第 {offset} 字节处声称有 {length} 字节的文本，最多允许 {limit} 字节",
            "文件已损坏或含恶意内容；请从可信来源重新获取",
        ),
    ),
    "E-GGUF-UTF8": Message(
        (
            "{path} has a text at byte {offset} that is not UTF-8",
            "fetch the file again, and compare its size or sha256 with the publisher's",
        ),
        ("{path} 第 {offset} 字节处的文本不是 UTF-8", "请重新获取文件，并与发布者给出的大小或 sha256 比对"),
    ),
    "E-GGUF-DUPLICATE": Message(
        (
            "{path} has {name} twice",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path} 中 {name} 出现了两次", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-GGUF-VALUE-TYPE": Message(
        (
            "{path} gives {key} the value type {kind}, which GGUF does not have",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path} 中 {key} 的值类型为 {kind}，GGUF 没有这种类型", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-GGUF-NESTED": Message(
        (
            "{path} has an array of arrays under {key}",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path} 的 {key} 是嵌套数组", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-GGUF-ALIGNMENT": Message(
        (
            "{path} has the alignment {alignment}; a power of two from 8 to {limit} is allowed",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        (
            "{path} 的对齐为 {alignment}；只允许 8 到 {limit} 之间的 2 的幂",
            "文件已损坏或含恶意内容；请从可信来源重新获取",
        ),
    ),
    "E-GGUF-DIMS": Message(
        (
            "{path}: tensor {name} has {dims} dimensions; 1 to 4 are allowed",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path}：张量 {name} 有 {dims} 维；只允许 1 到 4 维", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-GGUF-SHAPE": Message(
        (
            "{path}: tensor {name} has the shape {shape}, with a length of 0",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path}：张量 {name} 的形状为 {shape}，含有长度 0", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-GGUF-TYPE": Message(
        ("{path}: tensor {name} is stored as type {kind}, which Puna does not read", "types it reads: {kinds}"),
        ("{path}：张量 {name} 的存储类型为 {kind}，Puna 不支持", "支持的类型：{kinds}"),
    ),
    "E-GGUF-OFFSET": Message(
        (
            "{path}: tensor {name} starts at offset {offset}, which is no multiple of {alignment}",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        (
            "{path}：张量 {name} 的偏移 {offset} 不是 {alignment} 的倍数",
            "文件已损坏或含恶意内容；请从可信来源重新获取",
        ),
    ),
    "E-GGUF-ROW": Message(
        (
            "{path}: tensor {name} has rows of {row} weights, which {kind} cannot cut into blocks of {items}",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        (
            "{path}：张量 {name} 每行 {row} 个权重，{kind} 无法按每块 {items} 个划分",
            "文件已损坏或含恶意内容；请从可信来源重新获取",
        ),
    ),
    "E-GGUF-OVERLAP": Message(
        (
            "{path}: tensors {name} and {other} overlap",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path}：张量 {name} 与 {other} 重叠", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-GGUF-QUANT-VERSION": Message(
        (
            "{path} uses version {version} of the quantised formats; Puna reads version 2",
            "convert the model again with current tools, or use another file of it",
        ),
        (
            "{path} 使用第 {version} 版量化格式；Puna 支持第 2 版",
            "请用新版工具重新转换模型，或换用此模型的其他文件",
        ),
    ),
    "E-GGUF-SPLIT": Message(
        (
            "{path} is one of {parts} parts of a model",
            "join the parts with llama-gguf-split --merge, and give the whole file",
        ),
        ("{path} 是模型的 {parts} 个分卷之一", "请用 llama-gguf-split --merge 合并后再使用"),
    ),
    "E-GGUF-ROPE-TWICE": Message(
        (
            "{path} scales its rotary frequencies twice: by tensor {name} and by another way",
            "convert the model again with current tools, or use another file of it",
        ),
        (
            "{path} 对旋转频率做了两次缩放：张量 {name} 与另一种方式",
            "请用新版工具重新转换模型，或换用此模型的其他文件",
        ),
    ),
    "E-TENSOR-MISSING": Message(
        (
            "{path} has no tensor {name}",
            "weights and configuration do not belong together, or the file is incomplete; fetch the model again",
        ),
        ("{path} 缺少张量 {name}", "权重与配置不匹配，或文件不完整；请重新获取模型"),
    ),
    "E-TENSOR-UNEXPECTED": Message(
        (
            "{path} has a tensor {name}, which a Llama model of this configuration does not have",
            "weights and configuration do not belong together, or the file is incomplete; fetch the model again",
        ),
        (
            "{path} 含有张量 {name}，此配置的 Llama 模型没有这个张量",
            "权重与配置不匹配，或文件不完整；请重新获取模型",
        ),
    ),
    "E-TENSOR-SHAPE": Message(
        (
            "{path}: tensor {name} has the shape {shape}, and the configuration calls for {wanted}",
            "weights and configuration do not belong together, or the file is incomplete; fetch the model again",
        ),
        (
            "{path}：张量 {name} 的形状为 {shape}，按配置应为 {wanted}",
            "权重与配置不匹配，或文件不完整；请重新获取模型",
        ),
    ),
    "E-TENSOR-LAYERS": Message(
        (
            "{path} claims {layers} layers, which have at least {needed} tensors, and has {present}",
            "weights and configuration do not belong together, or the file is incomplete; fetch the model again",
        ),
        (
            "{path} 声称有 {layers} 层，至少需要 {needed} 个张量，实际只有 {present} 个",
            "权重与配置不匹配，或文件不完整；请重新获取模型",
        ),
    ),
    "E-HEAD-MISSING": Message(
        (
            "{path} has no lm_head.weight, and its configuration does not tie the head to the embedding",
            "weights and configuration do not belong together, or the file is incomplete; fetch the model again",
        ),
        (
            "{path} 没有 lm_head.weight，而配置也未将输出层与词嵌入绑定",
            "权重与配置不匹配，或文件不完整；请重新获取模型",
        ),
    ),
    "E-HEAD-DIFFERS": Message(
        (
            "{path} ties the head to the embedding, and has an lm_head.weight that differs from it",
            "one of the two is wrong: set tie_word_embeddings to false if the head was trained",
        ),
        (
            "{path} 将输出层与词嵌入绑定，却另有不同的 lm_head.weight",
            "两者必有一误：若输出层单独训练过，请将 tie_word_embeddings 设为 false",
        ),
    ),
    "E-FOLDER-CONFIG": Message(
        (
            "the folder {path} has no config.json",
            "give a GGUF file, or a folder with config.json and safetensors files",
        ),
        ("文件夹 {path} 中没有 config.json", "请提供 GGUF 文件，或含有 config.json 与 safetensors 文件的文件夹"),
    ),
    "E-FOLDER-OUTSIDE": Message(
        (
            "{path} names a file {name}, which is no plain file of this folder",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        (
            "{path} 引用的文件 {name} 不是此文件夹中的普通文件",
            "文件已损坏或含恶意内容；请从可信来源重新获取",
        ),
    ),
    "E-JSON": Message(
        (
            "{path} does not hold the JSON object it should",
            "fetch the file again, and compare its size or sha256 with the publisher's",
        ),
        ("{path} 的内容不是应有的 JSON 对象", "请重新获取文件，并与发布者给出的大小或 sha256 比对"),
    ),
    "E-JSON-DUPLICATE": Message(
        (
            "{path} says {key} twice",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path} 中 {key} 出现了两次", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-JSON-LARGE": Message(
        (
            "{path} has {size} bytes; at most {limit} are read",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path} 有 {size} 字节；最多读取 {limit} 字节", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-SAFETENSORS-TRUNCATED": Message(
        (
            "{path} is cut short or damaged: at least {missing} more bytes are needed",
            "fetch the file again, and compare its size or sha256 with the publisher's",
        ),
        ("{path} 不完整或已损坏：至少还缺 {missing} 字节", "请重新获取文件，并与发布者给出的大小或 sha256 比对"),
    ),
    "E-SAFETENSORS-LARGE": Message(
        (
            "{path} has a header of size {size}; at most {limit} is allowed",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path} 的文件头大小为 {size}；最多允许 {limit}", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-SAFETENSORS-ENTRY": Message(
        (
            "{path}: the header's entry for tensor {name} makes no sense",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path}：文件头中张量 {name} 的条目不合理", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
    "E-SAFETENSORS-TYPE": Message(
        ("{path}: tensor {name} is stored as {kind}, which Puna does not read", "types it reads: {kinds}"),
        ("{path}：张量 {name} 的存储类型为 {kind}，Puna 不支持", "支持的类型：{kinds}"),
    ),
    "E-SAFETENSORS-SPAN": Message(
        (
            "{path}: tensor {name} starts at byte {begin} of the data, where byte {end} is due",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        (
            "{path}：张量 {name} 从数据第 {begin} 字节开始，应从第 {end} 字节开始",
            "文件已损坏或含恶意内容；请从可信来源重新获取",
        ),
    ),
    "E-SAFETENSORS-REST": Message(
        (
            "{path} has {rest} bytes after its last tensor",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        ("{path} 在最后一个张量之后多出 {rest} 字节", "文件已损坏或含恶意内容；请从可信来源重新获取"),
    ),
}
