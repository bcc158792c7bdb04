"""A tokenizer in the files of a Hugging Face folder, from whatever it was read."""

import json
from collections.abc import Sequence
from typing import Any

from puna.tokens.vocabulary import Vocabulary, hidden_name

_FLAGS = {"single_word": False, "normalized": False, "special": True}
_PIECES = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
}
_BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}


def tokenizer_files(
    vocabulary: Vocabulary, bos: str | None, eos: str | None, prompt_ids: Sequence[int], template: str | None
) -> dict[str, Any]:
    """Give the contents of `tokenizer.json` and `tokenizer_config.json`."""
    data: dict[str, Any] = json.loads(vocabulary.core.to_str())
    controls = vocabulary.controls.values()
    names = {hidden_name(control.id): control.text for control in controls}
    model = data["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): i for piece, i in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if "unk_token" in model:
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    special = [
        {"id": each.id, "content": each.text, "lstrip": each.lstrip, "rstrip": each.rstrip, **_FLAGS}
        for each in controls
    ]
    data["added_tokens"] = sorted([*data["added_tokens"], *special], key=lambda token: token["id"])
    if vocabulary.prefix != "none":
        steps = [{"type": "Prepend", "prepend": "▁"}, *([data["normalizer"]] if data["normalizer"] else [])]
        data["normalizer"] = {"type": "Sequence", "normalizers": steps}
    data["decoder"] = _BYTES if vocabulary.byte_level else _PIECES
    if prompt_ids and bos is not None:
        ids = {bos: {"id": bos, "ids": list(prompt_ids), "tokens": [bos]}}
        begin = {"SpecialToken": {"id": bos, "type_id": 0}}
        first, second = ({"Sequence": {"id": name, "type_id": n}} for n, name in enumerate("AB"))
        data["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [begin, first],
            "pair": [begin, first, second],
            "special_tokens": ids,
        }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "clean_up_tokenization_spaces": False,
        "chat_template": template,
    }
    return {"tokenizer.json": data, "tokenizer_config.json": {k: v for k, v in config.items() if v is not None}}
