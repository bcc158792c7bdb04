"""Sentences of the lab."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-LAB-BOOK": Message(
        ("{path} has {tokens} tokens, and {wanted} are read at once", "name data sets with a longer text"),
        ("{path} 只有 {tokens} 个词元，而一次要读 {wanted} 个", "请指定含有更长文本的数据文件夹"),
    ),
    "E-LAB-DATA": Message(
        (
            "this study reads {name}, and no folder of data sets is named",
            "name it with --data, or in the environment variable PUNA_DATA",
        ),
        ("本研究要读取 {name}，但没有指定数据文件夹", "请用 --data 或环境变量 PUNA_DATA 指定"),
    ),
    "E-LAB-FILE": Message(
        ("there is no {name} in {folder}", "name the folder of data sets with --data, or in PUNA_DATA"),
        ("{folder} 里没有 {name}", "请用 --data 或环境变量 PUNA_DATA 指定数据文件夹"),
    ),
    "E-LAB-SCALED": Message(
        ("this model's rotary frequencies are scaled already ({kind})", "name a model without RoPE scaling"),
        ("该模型的旋转频率已经缩放过（{kind}）", "请换一个没有 RoPE 缩放的模型"),
    ),
    "E-LAB-SHORT": Message(
        ("a key cannot be hidden in {length} tokens", "at least {wanted} are needed with this tokenizer"),
        ("{length} 个词元中藏不下密钥", "使用该分词器至少需要 {wanted} 个"),
    ),
    "E-LAB-UNKNOWN": Message(
        ("there is no study {name}", "choose among {known}"),
        ("没有名为 {name} 的研究", "可选：{known}"),
    ),
}
