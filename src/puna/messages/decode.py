"""Sentences of writing."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
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
    "E-BEAMS": Message(
        ("the number of beams is {value}, wanted a whole number from 1", "4 is the default; 1 is greedy"),
        ("束的数目为 {value}，应为不小于 1 的整数", "默认为 4；1 即贪心"),
    ),
    "E-MIN-TOKENS": Message(
        ("the least number of tokens is {value}, wanted a whole number from 0 to {most}", "0 is the default"),
        ("最小词元数为 {value}，应为 0 到 {most} 的整数", "默认为 0"),
    ),
    "E-N-BEST": Message(
        ("the number of texts wanted is {value}, wanted a whole number from 1", "--n-best 1 gives the best alone"),
        ("所要的结果数为 {value}，应为不小于 1 的整数", "--n-best 1 只给出最好的一个"),
    ),
    "E-ALPHA": Message(
        (
            "alpha is {value}, wanted a number from 0",
            "0 compares probabilities as they are; 0.6 favours longer texts a little",
        ),
        ("alpha 为 {value}，应为不小于 0 的数", "0 直接比较概率；0.6 略微偏向较长的文本"),
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
}
