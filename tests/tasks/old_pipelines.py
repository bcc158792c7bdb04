"""What the pipelines of old give back: the forms of their results, and two of them as Transformers 5 still has them."""

from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors

ANSWER = {"score": "float", "start": "int", "end": "int", "answer": "str"}
LABEL = {"label": "str", "score": "float"}
TRANSLATION = {"translation_text": "str"}


def form(found: Any) -> Any:
    """Give a result with its types in the place of its values."""
    if isinstance(found, dict):
        return {key: form(value) for key, value in found.items()}
    return [form(each) for each in found] if isinstance(found, list) else type(found).__name__


def old_pipeline(task: str, labels: list[str], **arguments: Any) -> Any:
    """Give a pipeline of Transformers with a tiny random model that has these labels."""
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, pipeline

    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(special)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = dict(zip(("unk_token", "cls_token", "sep_token", "pad_token"), special, strict=True))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **names)
    config = BertConfig(
        vocab_size=len(special),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label=dict(enumerate(labels)),
        label2id={label: n for n, label in enumerate(labels)},
    )
    model = BertForSequenceClassification(config)
    return pipeline(task, model=model, tokenizer=tokenizer, device="cpu", **arguments)
