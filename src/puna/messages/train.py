"""Sentences of training, and of making rows to learn from."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-TRAIN-BIAS": Message(
        ("{path} has biases in its layers, which Puna does not train", "take a model without them"),
        ("{path} 的层带有偏置，Puna 不支持训练这样的模型", "请选用不带偏置的模型"),
    ),
    "E-TRAIN-BOARD": Message(
        ("TensorBoard is not installed", "pip install tensorboard, or leave --tensorboard out"),
        ("没有安装 TensorBoard", "请 pip install tensorboard，或去掉 --tensorboard"),
    ),
    "E-TRAIN-CHECKPOINT": Message(
        (
            "after step {step} no checkpoint could be written to {path}: {reason}",
            "make room; the same command goes on from the checkpoint before",
        ),
        ("第 {step} 步之后无法把检查点写入 {path}：{reason}", "请腾出空间；再次运行同一命令会从上一个检查点接着做"),
    ),
    "E-TRAIN-DAMAGED": Message(
        ("the checkpoint {path} cannot be read: {reason}", "remove it to begin anew"),
        ("无法读取检查点 {path}：{reason}", "请删除它，从头开始"),
    ),
    "E-TRAIN-FOLDER": Message(
        (
            "{path} should hold a training's files, but {name} is none",
            "name another folder with -o, or move that one",
        ),
        ("{path} 应只存放训练文件，但 {name} 不是", "请用 -o 指定别的文件夹，或移走那一个"),
    ),
    "E-TRAIN-INIT": Message(
        (
            "training cannot go on from the adapter {name}: its matrices are not alike in every layer",
            "begin without --init, or with an adapter that Puna trained",
        ),
        ("无法从适配器 {name} 接着训练：各层的矩阵不一致", "请不用 --init，或使用由 Puna 训练的适配器"),
    ),
    "E-TRAIN-NAN": Message(
        (
            "at step {step} the loss or its gradient is no longer a number, and nothing had been kept before",
            "begin anew with a lower --rate or --clip, or a longer --warmup, and another -o",
        ),
        (
            "第 {step} 步的损失或梯度已不是数，此前没有保存过任何内容",
            "请减小 --rate 或 --clip，或加长 --warmup，换一个 -o 从头开始",
        ),
    ),
    "E-TRAIN-NAN-KEPT": Message(
        (
            "at step {step} the loss or its gradient is no longer a number; step {good}, still good, is in {folder}",
            "go on from it with --init (a whole model: --model), a lower --rate or --clip, and another -o",
        ),
        (
            "第 {step} 步的损失或梯度已不是数；第 {good} 步时尚好的结果在 {folder} 中",
            "请用 --init（完整的模型用 --model）从它接着训练，减小 --rate 或 --clip，并换一个 -o",
        ),
    ),
    "E-TRAIN-NO-ROWS": Message(
        (
            "no question can be made of {files}: {passages} passage(s) in them are long enough",
            "give running text, in one document at least 100 English words or 200 Chinese characters",
        ),
        (
            "无法从 {files} 造出问题：其中足够长的段落有 {passages} 个",
            "请提供连续的文章，同一篇里至少要有 200 个汉字或 100 个英文词",
        ),
    ),
    "E-TRAIN-NORMS": Message(
        (
            "{path} norms queries and keys head by head, which Puna does not train",
            "take a model without such norms",
        ),
        ("{path} 对每个头的查询和键做归一化，Puna 不支持训练这样的模型", "请选用没有这种归一化的模型"),
    ),
    "E-TRAIN-OTHER": Message(
        (
            "{path} holds the checkpoint of another training: {name} was {found}, not {wanted}",
            "give what it was begun with, name another folder with -o, or remove that one",
        ),
        (
            "{path} 里是另一次训练的检查点：{name} 当时是 {found}，不是 {wanted}",
            "请使用开始时的设置，或用 -o 指定别的文件夹，或删除那一个",
        ),
    ),
    "E-TRAIN-TARGET": Message(
        ("{path} is there already", "name another folder with -o, or remove that one"),
        ("{path} 已经存在", "请用 -o 指定别的文件夹，或删除那一个"),
    ),
    "E-TRAIN-TEXT": Message(
        ("there is no text to learn from in {files}", "give files with more than one token of text"),
        ("{files} 里没有可以学习的文字", "请提供有文字的文件"),
    ),
    "E-TRAIN-USABLE": Message(
        (
            "none of the {count} rows of {files} can be learned from",
            "the same command with --strict says what is wrong",
        ),
        ("{files} 的 {count} 行都无法用来学习", "同一命令加上 --strict 会说明原因"),
    ),
    "E-TRAIN-WINDOW": Message(
        (
            "{path} has a sliding window of {window} tokens and a context of {context}, which Puna does not train",
            "take a model without a window",
        ),
        (
            "{path} 的滑动窗口为 {window} 个词元，上下文为 {context}，Puna 不支持训练这样的模型",
            "请选用没有滑动窗口的模型",
        ),
    ),
}
