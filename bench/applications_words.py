"""The sentences of the page that `applications.py` writes."""

WORDS = {
    "en": {
        "title": "Measured: labels, multiple choice, translation",
        "other": "[中文](applications.zh.md)",
        "written": "Written by `{command}`; {processor}, {threads} threads, Python {python}, torch {torch}. "
        "The model is {model}.",
        "read": "All rows are drawn with a fixed seed. ±: one standard error. *ECE*: expected "
        "calibration error of the first label's or candidate's probability, ten bins of equal "
        "size. *Beside the simple methods*: against the better of the two on the same rows; a "
        "difference is one from two standard errors of itself on, *equal* is any that is "
        "smaller. The best accuracy of a set is bold: where that is a simple method, use it.",
        "labels": "Labels",
        "labels-text": "`puna classify`, untrained and after `puna train classify` ({epochs:g} pass(es) over "
        "the rows to learn from, all else as it is by default). All methods learn from the same "
        "rows, {learn:,} of each set at most. *Most frequent*: the label that these rows have "
        "most often. *tf-idf*: logistic regression over tf-idf of words and pairs of words, in "
        "Chinese of one to three characters, its C chosen by cross-validation. AG News is here "
        "as its test set alone: one half of it, drawn at random, is learned from, the other "
        "measured on; of THUCNews the development set is learned from. The names of labels are "
        "the sets' own, underscores read as spaces. Macro-F1 is the mean over the labels that "
        "are right for at least one row, in percent.",
        "labels-heads": "set|labels|rows|learned from|method|accuracy, %|macro-F1|ECE|rows/s|beside the simple "
        "methods",
        "majority": "most frequent",
        "tfidf": "tf-idf",
        "untuned": "Puna, untrained",
        "tuned": "Puna, trained",
        "minutes": " ({minutes:.0f} min)",
        "better": "better",
        "equal": "equal",
        "worse": "**worse**",
        "strange": "What no label fits",
        "strange-text": "CLINC150 has texts that none of its 150 labels fits: {count} of them here, and as many "
        'of the others. They have a label of their own, "none of these". *Told*: those that get '
        "it; *taken*: others that get it. How well the two are told apart (AUROC, 0.5 is chance) "
        "by that label's probability, by how low the highest probability of all other labels is, "
        "and by how improbable it is that any label follows the text. In the table above "
        "CLINC150 has the rows that a label fits.",
        "strange-heads": "method|accuracy of the others, %|told, %|taken, %|AUROC: none of these|highest|any label",
        "choices": "Multiple choice",
        "choices-text": "As `puna eval choice` scores it, untrained: by log-probability, per byte, and with the "
        "prior divided out, in percent; `docs/measured-choice.md` compares that with "
        "lm-evaluation-harness. *Chance*: what drawing lots gives. *Place*: the place in which "
        "the right candidate stands most often, in the rows to learn from where there are any "
        "(C3), else in these rows themselves, which favours it. *tf-idf*: of C3, logistic "
        "regression over tf-idf of a candidate, its likeness to text and question, and its "
        "length; of the others the candidate that is most like text and question, nothing "
        "learned; none where there is nothing to compare. ECE and rows a second are those of "
        "plain log-probability. The last column compares the better of each.",
        "choices-heads": "set|rows|chance|place|tf-idf|log-probability|per byte|prior divided out|ECE|rows/s|"
        "beside the simple methods",
        "reader-title": "{set}, read",
        "reader-text": "A reader judges the options as candidates (`puna ask --candidate`): that which comes "
        "with Puna with `--normalise prior`; and the same, or one trained for it, on texts in "
        "which the options stand too, on lines of their own behind the context. Trained: `puna "
        "train reader --among 1`, with the other options as wrong answers, from the reader that "
        "comes with Puna on where there is one for the model (--rate 2e-4), {epochs:g} pass(es).",
        "reader-heads": "reader|learned from|accuracy, %|ECE|rows/s|beside the simple methods",
        "c3-reader": "the one that comes with Puna, prior divided out",
        "c3-tuned": "trained, options in the text",
        "translations": "Translation",
        "translations-text": "`puna eval translate`: four beams, BLEU and chrF by sacrebleu over all rows of a set "
        "together (Chinese by characters). *Source*: the source text as if it were its "
        "translation. *Untrained*: worked examples before the text.",
        "translator-used": "*Translator*: {names}.",
        "translator-none": "No translator was measured: Puna brings none for this model, and none was named.",
        "translations-heads": "set|rows|source: BLEU|chrF|untrained: BLEU|chrF|translator: BLEU|chrF|rows/s",
        "c3-options": "the same, options in the text",
    },
    "zh": {
        "title": "实测：标签、选择题、翻译",
        "other": "[English](applications.md)",
        "written": "由 `{command}` 生成；{processor}，{threads} 个线程，Python {python}，torch {torch}。模型"
        "为 {model}。",
        "read": "所有数据行都用固定的种子抽取。±：一个标准误差。*ECE*：首位标签或选项概率的期望校准误差，"
        "十个等量分箱。*与简单方法相比*：在相同的行上与两者中较好的一个相比；差值达到自身标准误差"
        "的两倍才算有差别，更小的都算“相当”。每个数据集的最高准确率用粗体：如果那是简单方法，就该"
        "用它。",
        "labels": "标签",
        "labels-text": "`puna classify`，未训练的，以及经过 `puna train classify` 的（把训练行过 {epochs:g} 遍，"
        "其余为默认值）。所有方法都从相同的行学习，每个数据集最多 {learn:,} 行。*最常见*：这些行"
        "中最常见的标签。*tf-idf*：对词和相邻词对（中文为一到三个字）的 tf-idf 做逻辑回归，C 由交"
        "叉验证选定。AG News 这里只有测试集：随机抽一半来学习，在另一半上测量；THUCNews 用开发集"
        "学习。标签名取自数据集本身，下划线读作空格。宏平均 F1 是至少在一行中正确的各标签的平均，"
        "以百分数表示。",
        "labels-heads": "数据集|标签数|行数|学习行数|方法|准确率 %|宏平均 F1|ECE|行/秒|与简单方法相比",
        "majority": "最常见",
        "tfidf": "tf-idf",
        "untuned": "Puna，未训练",
        "tuned": "Puna，训练后",
        "minutes": "（{minutes:.0f} 分钟）",
        "better": "更好",
        "equal": "相当",
        "worse": "**更差**",
        "strange": "不属于任何标签的文本",
        "strange-text": "CLINC150 有不属于其 150 个标签的文本：这里取 {count} 条，其余文本同样多。它们有自己的标"
        "签“none of these”。*认出*：得到该标签的这类文本；*误认*：得到该标签的其余文本。两类文本"
        "能分得多开（AUROC，0.5 等于随机）：按该标签的概率，按其余标签最高概率有多低，按文本后面"
        "出现任何标签的概率有多低。上表中的 CLINC150 只含有合适标签的行。",
        "strange-heads": "方法|其余文本准确率 %|认出 %|误认 %|AUROC：none of these|最高概率|任何标签",
        "choices": "选择题",
        "choices-text": "与 `puna eval choice` 的评分相同，未训练：按对数概率、按每字节、除去先验，以百分数表示；"
        "`docs/measured-choice.md` 把它与 lm-evaluation-harness 作了比较。*随机*：抽签的结果。*位"
        "置*：正确选项最常在的位置，有训练行的（C3）取自训练行，否则取自这些行本身，这对它有利。"
        "*tf-idf*：C3 为对选项的 tf-idf、选项与正文和问题的相似度及其长度做逻辑回归；其余为与正文"
        "和问题最相似的选项，不经学习；无可比较的则没有。ECE 和行/秒属于单纯的对数概率。最后一列"
        "比较双方各自较好的方法。",
        "choices-heads": "数据集|行数|随机|位置|tf-idf|对数概率|每字节|除去先验|ECE|行/秒|与简单方法相比",
        "reader-title": "{set}，由阅读器作答",
        "reader-text": "阅读器把选项当作候选来判断（`puna ask --candidate`）：Puna 自带的用 `--normalise "
        "prior`；同一个、或为此训练的，读的文本里还有选项，逐行写在正文之后。训练：`puna train "
        "reader --among 1`，其余选项作为错误答案；模型有 Puna 自带的阅读器时从它继续（--rate "
        "2e-4），过 {epochs:g} 遍。",
        "reader-heads": "阅读器|学习行数|准确率 %|ECE|行/秒|与简单方法相比",
        "c3-reader": "Puna 自带的，除去先验",
        "c3-tuned": "训练后，选项在文中",
        "translations": "翻译",
        "translations-text": "`puna eval translate`：四束，sacrebleu 的 BLEU 和 chrF，按整个数据集计算（中文按字）。"
        "*原文*：把原文当作译文。*未训练*：文本前放示例。",
        "translator-used": "*翻译器*：{names}。",
        "translator-none": "没有测量翻译器：Puna 没有为该模型自带翻译器，也没有指定。",
        "translations-heads": "数据集|行数|原文：BLEU|chrF|未训练：BLEU|chrF|翻译器：BLEU|chrF|行/秒",
        "c3-options": "同一个，选项在文中",
    },
}
