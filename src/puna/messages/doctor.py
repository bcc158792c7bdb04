"""What `puna doctor` says: for each finding what is, and what to do; nothing has to be done about what is fine."""

from puna.messages.message import Message

FINDINGS: dict[str, Message] = {
    # the head and the positions
    "head-own": Message(("the head is a matrix of its own", ""), ("输出层是独立的矩阵", "")),
    "head-tied": Message(("the head is the embedding", ""), ("输出层就是词嵌入", "")),
    "head-lost": Message(
        (
            "the model has no head of its own, and predicts neither language: its output.weight may have been lost",
            "if the makers' model is not tied (tie_word_embeddings in its config.json), fetch or convert it again",
        ),
        (
            "模型没有独立的输出层，两种语言都预测不了：output.weight 可能已丢失",
            "若原模型的 config.json 中 tie_word_embeddings 为 false，请重新获取或转换",
        ),
    ),
    "rope": Message(
        ("rotary positions: {kind}, theta {theta}, for {context} tokens", ""),
        ("旋转位置编码：{kind}，theta {theta}，上下文 {context} 个词元", ""),
    ),
    "rope-short": Message(
        (
            "the context is {context} tokens, but its rotary scaling ({kind}) reaches {reach}",
            "stay below {reach} tokens, or compare factor and context with the makers' config.json",
        ),
        (
            "上下文为 {context} 个词元，而旋转缩放（{kind}）只到 {reach}",
            "请勿超过 {reach} 个词元，或与原模型的 config.json 比对 factor 与上下文",
        ),
    ),
    "rope-lost": Message(
        (
            "the context is {context} tokens with theta {theta}, without rotary scaling or a window: one may be lost",
            "compare rope_scaling and sliding_window with the makers' config.json; converters may have dropped either",
        ),
        (
            "上下文为 {context} 个词元，theta 为 {theta}，却既无旋转缩放也无滑动窗口：文件可能丢失了其一",
            "请与原模型 config.json 的 rope_scaling、sliding_window 比对；转换工具可能丢掉其中之一",
        ),
    ),
    "rope-dynamic": Message(
        (
            "its rotary scaling is dynamic NTK, which llama.cpp leaves out and GGUF cannot hold",
            "in such programs stay below {original} tokens",
        ),
        ("旋转缩放为动态 NTK，llama.cpp 不支持，GGUF 也无法保存", "在这些程序中请勿超过 {original} 个词元"),
    ),
    "rope-new-keys": Message(
        (
            "config.json has theta and scaling only as rope_parameters, which programs older than Transformers 5 ignore",
            "for such programs add rope_theta and rope_scaling, or export the model as GGUF: puna export",
        ),
        (
            "config.json 仅以 rope_parameters 给出 theta 与缩放，早于 Transformers 5 的程序会忽略它",
            "若要用于这些程序，请补上 rope_theta 与 rope_scaling，或用 puna export 导出为 GGUF",
        ),
    ),
    # tokens
    "tokenizer": Message(
        (
            "the tokenizer cannot be used: {error}",
            "fetch the model's tokenizer again, or another file of the model",
        ),
        ("无法使用分词器：{error}", "请重新获取该模型的分词器，或换用此模型的其他文件"),
    ),
    "rows": Message(
        ("{tokens} tokens, {rows} rows of the embedding", ""),
        ("{tokens} 个词元，词嵌入 {rows} 行", ""),
    ),
    "rows-few": Message(
        (
            "the tokenizer has {tokens} tokens, but the embedding only {rows} rows",
            "take the tokenizer of this very model; text with such tokens cannot be read",
        ),
        (
            "分词器有 {tokens} 个词元，而词嵌入只有 {rows} 行",
            "请使用与此模型配套的分词器；含有这些词元的文本无法读取",
        ),
    ),
    "text": Message(
        ("text of every kind tried comes back from its tokens", ""), ("试过的各类文本都能由词元还原", "")
    ),
    "text-lost": Message(
        (
            "the tokenizer loses {count} of the {all} characters tried: {characters}",
            "the model never sees them; take the makers' own tokenizer files, or convert them again",
        ),
        (
            "分词器丢失了所试 {all} 个字符中的 {count} 个：{characters}",
            "模型看不到它们；请改用原模型自己的分词器文件，或重新转换",
        ),
    ),
    "pre": Message(("text is cut as {pre} has it", ""), ("按 {pre} 的方式切分文本", "")),
    "pre-absent": Message(
        (
            "the file does not name how text is cut before merging (tokenizer.ggml.pre): a rule of thumb is used",
            "numbers and spaces may become other tokens than in training; convert the model again with current tools",
        ),
        (
            "文件没有指明合并前如何切分文本（tokenizer.ggml.pre）：只能用通用规则",
            "数字和空格可能与训练时的词元不同；请用新版工具重新转换",
        ),
    ),
    "kinds": Message(
        ("{count} control tokens, which no text can spell", ""), ("{count} 个控制词元，任何文本都拼不出", "")
    ),
    "kind-ordinary": Message(
        (
            "{count} tokens look like control tokens, but the file calls them ordinary text: {tokens}",
            "Puna keeps them out of texts; in other programs a text can forge a turn, so fetch a newer file",
        ),
        (
            "{count} 个词元看似控制词元，文件却标为普通文本：{tokens}",
            "Puna 不会让文本写出它们；在其他程序中文本可伪造对话轮次，请换用新的文件",
        ),
    ),
    "kind-word": Message(
        (
            "a token that begins or ends texts is an ordinary piece of text: {tokens}",
            "answers may end in the middle; compare bos_token_id and eos_token_id with the makers' files",
        ),
        (
            "用作开头或结尾的词元是普通文本：{tokens}",
            "回答可能中途结束；请与原模型的 bos_token_id、eos_token_id 比对",
        ),
    ),
    "bos": Message(("a conversation begins with {bos}, once", ""), ("对话以 {bos} 开头，仅一次", "")),
    "bos-none": Message(("a conversation begins without BOS", ""), ("对话开头没有 BOS", "")),
    "bos-twice": Message(
        (
            "the chat template begins with {bos} {times} times",
            "take all but one out of the template: models answer worse behind more than one",
        ),
        ("对话模板开头有 {times} 个 {bos}", "请从模板中删去多余的：多于一个会使回答变差"),
    ),
    "bos-also": Message(
        (
            "the chat template writes {bos}, and the tokenizer's settings put one before every text",
            "Puna writes it once; in other programs read rendered conversations without added special tokens",
        ),
        (
            "对话模板会写 {bos}，分词器设置又会在每段文本前加一个",
            "Puna 只写一次；在其他程序中，对渲染后的对话分词时请勿再加特殊词元",
        ),
    ),
    "bos-absent": Message(
        (
            "the tokenizer's settings put {bos} before every text, but the chat template does not write it",
            "compare the template with the makers': most models read conversations with it",
        ),
        ("分词器设置会在每段文本前加 {bos}，对话模板却不写", "请与原模型的模板比对：多数模型的对话以它开头"),
    ),
    "ends": Message(("an answer ends at {tokens}", ""), ("回答在 {tokens} 处结束", "")),
    "ends-none": Message(
        (
            "the files name no token that ends an answer",
            "add eos_token_id to generation_config.json, or fetch a newer file",
        ),
        ("文件没有指明结束回答的词元", "请在 generation_config.json 中补上 eos_token_id，或换用新的文件"),
    ),
    "ends-unnamed": Message(
        (
            "a turn ends with {token} ({id}), which is not among the ends that the files name",
            "Puna stops there; other programs write on, so add the id to eos_token_id in generation_config.json",
        ),
        (
            "一轮对话以 {token}（{id}）结束，而文件所列的结束词元中没有它",
            "Puna 会在此停止；其他程序会继续写，请将此编号加入 generation_config.json 的 eos_token_id",
        ),
    ),
    # the template
    "template": Message(("the chat template works", ""), ("对话模板可用", "")),
    "template-absent": Message(
        (
            "there is no chat template: conversations cannot be written as the model knows them",
            "for a base model that is as it should be; else put chat_template.jinja beside the weights",
        ),
        ("没有对话模板：无法按模型熟悉的形式写对话", "基础模型本应如此；否则请把 chat_template.jinja 放到权重旁边"),
    ),
    "template-fails": Message(
        ("the chat template cannot be run: {error}", "take the template from the makers' tokenizer_config.json"),
        ("无法运行对话模板：{error}", "请改用原模型 tokenizer_config.json 中的模板"),
    ),
    "template-strange": Message(
        (
            "the chat template writes what is no token of this vocabulary: {tokens}",
            "the template or the tokenizer is of another model; take both from one place",
        ),
        ("对话模板写出了词表中没有的词元：{tokens}", "模板或分词器属于其他模型；请从同一来源获取两者"),
    ),
    # numbers
    "numbers": Message(("{count} tensors, every number finite", ""), ("{count} 个张量，数值均为有限数", "")),
    "numbers-none": Message(
        (
            "{bad} of the {all} numbers of {name} are NaN or infinite",
            "the file is damaged; fetch or convert it again",
        ),
        ("{name} 的 {all} 个数值中有 {bad} 个是 NaN 或无穷", "文件已损坏；请重新获取或转换"),
    ),
    "numbers-more": Message(
        ("{count} more tensors have such numbers", "the file is damaged; fetch or convert it again"),
        ("另有 {count} 个张量含有这样的数值", "文件已损坏；请重新获取或转换"),
    ),
    "numbers-zero": Message(
        (
            "{count} matrices hold nothing but zeros, the first is {name}",
            "the download may have a hole; compare the file's sha256 with the publisher's",
        ),
        ("{count} 个矩阵全为零，第一个是 {name}", "下载可能不完整；请与发布者给出的 sha256 比对"),
    ),
    # what it says
    "sense-en": Message(
        ("English: perplexity {value} on a plain text, of {tokens} tokens", ""),
        ("英文：普通文本的困惑度为 {value}（共 {tokens} 个词元）", ""),
    ),
    "sense-zh": Message(
        ("Chinese: perplexity {value} on a plain text, of {tokens} tokens", ""),
        ("中文：普通文本的困惑度为 {value}（共 {tokens} 个词元）", ""),
    ),
    "sense-en-strange": Message(
        (
            "English: perplexity {value} on a plain text, where guessing gives {tokens}",
            "the model does not know English, or was converted wrongly: try another file of it",
        ),
        (
            "英文：普通文本的困惑度为 {value}，而乱猜为 {tokens}",
            "模型不懂英文，或转换有误：请换用此模型的其他文件",
        ),
    ),
    "sense-zh-strange": Message(
        (
            "Chinese: perplexity {value} on a plain text, where guessing gives {tokens}",
            "the model does not know Chinese, or was converted wrongly: try another file of it",
        ),
        (
            "中文：普通文本的困惑度为 {value}，而乱猜为 {tokens}",
            "模型不懂中文，或转换有误：请换用此模型的其他文件",
        ),
    ),
    "sense-none": Message(
        ("what the model computes is not a number", "the file is damaged or of another kind; fetch it again"),
        ("模型的计算结果不是数", "文件已损坏或种类不对；请重新获取"),
    ),
    "sense-unread": Message(
        ("plain text cannot be read: {error}", "take the tokenizer of this very model"),
        ("无法读取普通文本：{error}", "请使用与此模型配套的分词器"),
    ),
    "writes": Message(
        ('it goes on: "{beginning}" → "{text}"', ""),
        ("续写：“{beginning}”→“{text}”", ""),
    ),
}
