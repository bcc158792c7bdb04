"""Sentences of writing models."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-EXPORT-ALONE": Message(
        ("there is no adapter to write", "name one: --adapter FOLDER"),
        ("没有可写出的适配器", "请指定一个：--adapter FOLDER"),
    ),
    "E-EXPORT-BIAS": Message(
        (
            "the model has biases in attention, and llama.cpp opens no file of its family ({family}) that has any",
            "write a folder instead: --to hf",
        ),
        ("模型的注意力带有偏置，llama.cpp 无法打开该系列（{family}）带偏置的文件", "请改为写成文件夹：--to hf"),
    ),
    "E-EXPORT-DENSE": Message(
        ("a folder and an adapter cannot hold the type {kind}", "use one of {kinds}, or --to gguf for a model"),
        ("文件夹和适配器不能使用 {kind} 类型", "可用：{kinds}；或对模型使用 --to gguf"),
    ),
    "E-EXPORT-LAYERS": Message(
        (
            "{layers} of the model's layers have a sliding window ({window} tokens), which a GGUF file cannot say",
            "write a folder instead: --to hf",
        ),
        ("模型有 {layers} 层使用滑动窗口（{window} 个词元），GGUF 文件无法表示", "请改为写成文件夹：--to hf"),
    ),
    "E-EXPORT-NUMBER": Message(
        (
            "{path}: tensor {name} holds {value}, which {kind} cannot hold",
            "write a wider type: --type bf16 or f32; NaN says that the model is damaged",
        ),
        (
            "{path}：张量 {name} 含有 {value}，{kind} 无法表示",
            "请使用更宽的类型：--type bf16 或 f32；若是 NaN，则模型已损坏",
        ),
    ),
    "E-EXPORT-READER": Message(
        (
            "how {name} reads texts (its pointer, its prompt) has no place in a model's GGUF file",
            "for puna ask, write a folder (--to hf), or the adapter apart (--adapter-only)",
        ),
        (
            "{name} 的阅读方式（指针、提示）无法写入模型的 GGUF 文件",
            "要用于 puna ask，请写成文件夹（--to hf），或单独写出适配器（--adapter-only）",
        ),
    ),
    "E-EXPORT-ROOM": Message(
        ("{folder} has {free} MB free, and {need} MB are needed", "make room, or choose a narrower --type"),
        ("{folder} 只剩 {free} MB，需要 {need} MB", "请腾出空间，或选用更小的 --type"),
    ),
    "E-EXPORT-ROPE": Message(
        (
            "llama.cpp does not compute the model's rotary scaling ({kind}), and a GGUF file cannot say it",
            "write a folder instead: --to hf",
        ),
        ("llama.cpp 不支持模型的旋转位置缩放（{kind}），GGUF 文件无法表示", "请改为写成文件夹：--to hf"),
    ),
    "E-EXPORT-SPACE": Message(
        (
            "the file cannot say where this tokenizer puts its first space: llama.cpp puts one after every control token",
            "compare the ids of a chat before you rely on it",
        ),
        (
            "GGUF 文件无法表示此分词器的首个空格规则：llama.cpp 会在每个控制词元之后加一个空格",
            "使用前请比对对话的词元编号",
        ),
    ),
    "E-EXPORT-TARGET": Message(
        ("{path} is there already", "name another place with -o, or remove that one"),
        ("{path} 已经存在", "请用 -o 指定别的位置，或删除那一个"),
    ),
    "E-EXPORT-TEXT": Message(
        ("there is no text to predict", "give a text of more than one token, better of some thousand"),
        ("没有可供预测的文本", "请提供多于一个词元的文本，最好有几千个"),
    ),
    "E-EXPORT-TOKENIZER": Message(
        (
            "the model's tokenizer cannot be said in a GGUF file: it has {what}",
            "write a folder instead: --to hf",
        ),
        ("模型的分词器无法写入 GGUF 文件：{what}", "请改为写成文件夹：--to hf"),
    ),
    "E-EXPORT-TWICE": Message(
        (
            "{count} tensor(s) were quantised before and are quantised a second time, which adds up",
            "better start from the model's own F16, BF16 or F32 file",
        ),
        ("{count} 个张量原已量化，现在再次量化，误差会累加", "最好从该模型的 F16、BF16 或 F32 文件开始"),
    ),
    "E-EXPORT-TYPE": Message(
        (
            "{path}: tensor {name} would be written as {kind}, which Puna only reads",
            "choose a --type; those that are written: {kinds}",
        ),
        ("{path}：张量 {name} 需写成 {kind}，Puna 只能读取这种类型", "请指定 --type；可写的类型：{kinds}"),
    ),
    "E-EXPORT-WINDOW": Message(
        (
            "llama.cpp does not compute the model's sliding window: texts of more than {window} tokens differ there",
            "read no longer ones with it; Puna reads the window from the file",
        ),
        (
            "llama.cpp 不计算模型的滑动窗口：超过 {window} 个词元的文本结果会不同",
            "请勿用它读取更长的文本；Puna 会从文件中读取窗口",
        ),
    ),
    "E-REGROUP-HEADS": Message(
        (
            "{heads} key-value heads cannot be put together to {wanted}",
            "choose a smaller number that divides {heads}: {possible}",
        ),
        ("{heads} 个键值头无法合并为 {wanted} 个", "请选择能整除 {heads} 的更小的数：{possible}"),
    ),
    "E-REGROUP-ONE": Message(
        ("the model has one key-value head, and there is no smaller number", "take a model with more of them"),
        ("模型只有一个键值头，无法再减少", "请使用有多个键值头的模型"),
    ),
}
