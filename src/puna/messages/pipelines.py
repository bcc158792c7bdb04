"""Sentences of the pipelines."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-PIPELINE-TASK": Message(
        ("there is no pipeline {task}", "choose one of {known}"),
        ("没有名为 {task} 的管道", "可选：{known}"),
    ),
    "E-PIPELINE-ARGUMENT": Message(
        ("the pipeline {task} has no argument {name}", "leave it out; the ones that count are {known}"),
        ("管道 {task} 没有参数 {name}", "请去掉它；有作用的参数：{known}"),
    ),
    "E-PIPELINE-VALUE": Message(
        ("{name} is {value}, which Puna's pipelines do not do", "leave it out, or write {wanted}"),
        ("{name} 为 {value}，Puna 的管道做不到", "请去掉它，或写 {wanted}"),
    ),
    "E-PIPELINE-INPUT": Message(
        ("the pipeline {task} was given {value}", "give it {wanted}, or a list of those"),
        ("交给管道 {task} 的是 {value}", "请给出 {wanted}，或由它们组成的列表"),
    ),
    "E-PIPELINE-PAIRS": Message(
        (
            "there are {questions} question(s) and {contexts} context(s)",
            "give as many contexts as questions, or one context as a string",
        ),
        ("有 {questions} 个问题、{contexts} 段上下文", "两者数目要相同，或者把一段上下文写成字符串"),
    ),
    "E-PIPELINE-TEMPLATE": Message(
        (
            "the hypothesis template {template} has no single place for the label",
            "write one pair of braces with nothing in it where the label goes",
        ),
        ("假设模板 {template} 中没有唯一的标签位置", "请在标签所在处写一对空的花括号，只写一次"),
    ),
}
