"""Sentences of translation."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-TRANSLATE-LANGUAGE": Message(
        ("there is no language {value} to translate from or to", "choose one of {known}"),
        ("不能从 {value} 或向 {value} 翻译", "可选的语言：{known}"),
    ),
    "E-TRANSLATE-SAME": Message(
        ("source and target language are both {language}", "name the other one with --to, or leave --from out"),
        ("源语言和目标语言都是 {language}", "请用 --to 指定另一种语言，或去掉 --from"),
    ),
    "E-TRANSLATE-SAME-TEXT": Message(
        (
            "the text is in {language} already: {text}",
            "name the other language with --to; --from says the source's where the script misleads",
        ),
        ("文本已经是 {language}：{text}", "请用 --to 指定另一种语言；如果按文字判断有误，用 --from 指明源语言"),
    ),
    "E-TRANSLATE-SCRIPT": Message(
        (
            "the text is neither English nor Chinese by its script: {text}",
            "--from en or --from zh takes it for one",
        ),
        ("从文字上看，文本既不是英文也不是中文：{text}", "可用 --from en 或 --from zh 指明"),
    ),
    "E-TRANSLATE-LONG": Message(
        (
            "a sentence takes {tokens} tokens, more than the {limit} that there is room for: {text}",
            "break it by full stops or line ends, or use a model with a longer context: --model",
        ),
        (
            "有一个句子占 {tokens} 个词元，超过可容纳的 {limit} 个：{text}",
            "请用句号或换行断开，或用 --model 换用上下文更长的模型",
        ),
    ),
    "E-TRANSLATE-WEIGHT": Message(
        ("the weight of the other direction is {value}, wanted a number from 0", "1 trusts both directions alike"),
        ("反方向的权重为 {value}，应为不小于 0 的数", "1 表示两个方向同样可信"),
    ),
    "E-TRANSLATE-TEXT": Message(
        ("there is nothing to translate", "give TEXT, --file FILE, or - for standard input"),
        ("没有要翻译的内容", "请给出 TEXT 或 --file FILE，或用 - 从标准输入读取"),
    ),
    "E-TRANSLATE-ROW": Message(
        (
            "{path}, line {line}: src_lang and tgt_lang are {source} and {target}",
            'they must be "en" and "zh", one each',
        ),
        ("{path} 第 {line} 行：src_lang 和 tgt_lang 分别是 {source} 和 {target}", '应为 "en" 和 "zh" 各一'),
    ),
    "E-TRANSLATE-ROW-LONG": Message(
        (
            "{path}, line {line}: the pair takes {tokens} tokens, more than the {limit} of the model",
            "shorten the row",
        ),
        ("{path} 第 {line} 行：这一对占 {tokens} 个词元，超过模型的 {limit} 个", "请缩短这一行"),
    ),
    "E-SACREBLEU": Message(
        ("sacrebleu, which measures translations, is not installed", "pip install 'puna[translate]'"),
        ("没有安装衡量翻译的 sacrebleu", "请 pip install 'puna[translate]'"),
    ),
}
