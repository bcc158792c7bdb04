"""Sentences of the lab."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
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
    "E-LAB-UNKNOWN": Message(
        ("there is no study {name}", "choose among {known}"),
        ("没有名为 {name} 的研究", "可选：{known}"),
    ),
}
