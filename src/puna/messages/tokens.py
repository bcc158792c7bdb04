"""Sentences of tokenizers and chat templates."""

from puna.messages.message import Message

MESSAGES: dict[str, Message] = {
    "E-TOKENIZER-MISSING": Message(
        (
            "there is no tokenizer: {path}",
            "copy the model's tokenizer.json, tokenizer.model or tekken.json next to its weights",
        ),
        ("没有分词器：{path}", "请把该模型的 tokenizer.json、tokenizer.model 或 tekken.json 放到权重旁边"),
    ),
    "E-TOKENIZER-SIZE": Message(
        (
            "{name} has {size} bytes; a tokenizer's file has at most {limit}",
            "fetch the model again from its makers",
        ),
        ("{name} 有 {size} 字节；分词器文件最多 {limit} 字节", "请从模型发布方重新下载"),
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
