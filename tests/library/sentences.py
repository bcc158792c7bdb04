"""A tiny sentence-embedding model with random weights, as sentence-transformers saves one."""

from pathlib import Path

WIDTH = 16


def write_model(folder: Path) -> Path:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"abcdefghijklmnopqrstuvwxyz",
        *"山峰珠穆朗玛最高的是。.,",
    ]
    words += [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"]
    base = folder.with_name(folder.name + "-bert")
    base.mkdir(parents=True)
    (base / "vocab.txt").write_text("\n".join(words), "utf-8")
    BertTokenizerFast(str(base / "vocab.txt")).save_pretrained(base)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(base)
    transformer = Transformer(str(base), max_seq_length=64)
    SentenceTransformer(modules=[transformer, Pooling(WIDTH)], device="cpu").save_pretrained(str(folder))
    return folder
