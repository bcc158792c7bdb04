"""Vocabularies as folders keep them: `tokenizer.json` or its makers' own file, and the small files beside it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tokenizers

from puna.errors import shown
from puna.tokens.files import parse_json, read_bounded
from puna.tokens.gguf_vocab import CONTROL, NORMAL, USER_DEFINED, adds_bos, token_id, vocabulary_from_gguf
from puna.tokens.own_files import own_metadata
from puna.tokens.patterns import check_patterns
from puna.tokens.refuse import damaged, library, other_kind, reading
from puna.tokens.vocabulary import BYTE_OF, Control, Vocabulary, hidden_name, looks_like_control, may_be_control

_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
_OTHER_BPE = ("continuing_subword_prefix", "end_of_word_suffix", "dropout")  # what no Llama has, or chance
_LISTED = ("additional_special_tokens", "extra_special_tokens")
# Ids have a place each, whether they have a token or not; the largest vocabulary in use has 2^18.
_MOST_IDS = 1 << 20


class Folder(NamedTuple):
    """What a folder says of its tokenizer: the vocabulary and the settings beside it."""

    vocabulary: Vocabulary
    bos_id: int | None
    eos_ids: tuple[int, ...]
    prompt_ids: tuple[int, ...]
    template: str | None


class _Settings(NamedTuple):
    """What the small files say: tokenizer_config.json, the same over special_tokens_map.json, the model's own."""

    config: dict[str, Any]
    specials: dict[str, Any]
    model: list[dict[str, Any]]

    def ids(self, name: str, spelled: Mapping[str, int]) -> list[int]:
        """Give the ids for "bos" or "eos", first of all that of the spelling."""
        text = _text(self.specials.get(f"{name}_token"))
        ids = [spelled[text]] if text in spelled else []
        if name == "bos" and "bos_token" in self.config:  # where it says null, it knows better than config.json
            return ids
        return ids + [i for part in self.model for i in _id_list(part.get(f"{name}_token_id"))]


class _Found(NamedTuple):
    """A vocabulary, and what the tokenizer's file and the settings call BOS, EOS and the start of a prompt."""

    vocabulary: Vocabulary
    begins: list[int]
    ends: list[int]
    prompt: tuple[int, ...]


def read_folder(path: Path) -> Folder:
    """Read `tokenizer.json`, else the file its makers wrote, and where they exist the settings files beside it.

    Raises ModelFileError if a file is missing, damaged, or of a kind that Puna does not compute.
    """
    config = _json(path / "tokenizer_config.json")
    specials = _json(path / "special_tokens_map.json") | {k: v for k, v in config.items() if v is not None}
    model = _json(path / "config.json")
    nested = model.get("text_config")
    parts = [_json(path / "generation_config.json"), model, nested if isinstance(nested, dict) else {}]
    settings = _Settings(config, specials, parts)
    if (path / "tokenizer.json").exists():
        with reading("tokenizer.json"):
            found = _from_json(_json(path / "tokenizer.json"), settings)
    else:
        with reading("added tokens"):
            found = _from_own(own_metadata(path), settings, _json(path / "added_tokens.json"))
    bos_id = found.begins[0] if found.begins else None
    prompt = found.prompt
    if specials.get("add_bos_token") is not None:
        prompt = (bos_id,) if specials["add_bos_token"] and bos_id is not None else ()
    if any(type(i) is not int or not 0 <= i < len(found.vocabulary.pieces) for i in prompt):
        raise damaged("tokenizer.json: the post-processor names a token outside the vocabulary")
    with reading("the chat template"):
        template = _template(path, config)
    return Folder(found.vocabulary, bos_id, tuple(dict.fromkeys(found.ends)), prompt, template)


def _from_json(data: dict[str, Any], settings: _Settings) -> _Found:
    added = _added(data, settings.config, settings.specials)
    spelled = {token["content"]: i for i, token in added.items()}
    begins, ends = settings.ids("bos", spelled), settings.ids("eos", spelled)
    _call_special(data, added, [*ends, *begins[:1]])
    return _Found(_vocabulary(data, added), begins, ends, _prompt_ids(data))


def _from_own(metadata: dict[str, Any], settings: _Settings, listed: Mapping[str, Any]) -> _Found:
    """Build from the makers' own file, with the tokens that Hugging Face's files add behind it."""
    pieces, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    for i, (text, special) in sorted(_added_later(settings, listed).items()):
        if i < len(pieces):
            kinds[i] = CONTROL if special and pieces[i] == text else kinds[i]
            continue
        if i > len(pieces):
            raise damaged("added tokens leave a gap behind the vocabulary")
        pieces.append(text)
        kinds.append(CONTROL if special else USER_DEFINED)
        metadata.get("tokenizer.ggml.scores", []).append(0.0)
    spelled = {piece: i for i, piece in enumerate(pieces)}
    begins, ends = settings.ids("bos", spelled), settings.ids("eos", spelled)
    own = {name: token_id(metadata, name, len(pieces)) for name in ("bos", "eos", "eot", "eom")}
    begins += [i for name, i in own.items() if name == "bos" and i is not None]
    ends += [i for name, i in own.items() if name != "bos" and i is not None]
    for i in [*ends, *begins[:1]]:
        if not 0 <= i < len(pieces):
            raise damaged(f"token id {i} is not in the vocabulary")
        kinds[i] = CONTROL if kinds[i] != NORMAL or may_be_control(pieces[i]) else NORMAL
    prompt = tuple(begins[:1]) if adds_bos(metadata) else ()
    if settings.config.get("add_prefix_space") is False:
        metadata["tokenizer.ggml.add_space_prefix"] = False
    vocabulary = vocabulary_from_gguf(metadata)
    if (
        vocabulary.prefix == "every" and settings.config.get("legacy") is False
    ):  # how Transformers puts it since 2023
        vocabulary = replace(vocabulary, prefix="first", doubles=False)
    return _Found(vocabulary, begins, ends, prompt)


def _added_later(settings: _Settings, listed: Mapping[str, Any]) -> dict[int, tuple[str, bool]]:
    """Give the tokens of added_tokens.json and tokenizer_config.json by id, and whether each is a special one."""
    named = {_text(settings.specials.get(key)) for key in _NAMED}
    named |= {_text(token) for key in _LISTED for token in _flat(settings.specials.get(key))}
    added = {int(i): (text, text in named) for text, i in listed.items()}
    for i, token in (settings.config.get("added_tokens_decoder") or {}).items():
        added[int(i)] = token["content"], bool(token.get("special")) or token["content"] in named
    for i, (text, _) in added.items():
        if type(text) is not str or not text or i < 0:
            raise damaged("an added token has no text, or a negative id")
        text.encode()  # half a surrogate pair, which JSON can spell, is none: `reading` tells
    return added


def _json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(read_bounded(path))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise damaged(f"{path.name}: {error}") from None
    if not isinstance(content, dict):
        raise damaged(f"{path.name} holds no object")
    return content


def _text(token: Any) -> str:
    """Give the spelling of a token written as a string or as an object."""
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def _id_list(value: Any) -> list[int]:
    """Read one token id, a list of them or none."""
    ids = value if isinstance(value, list) else [] if value is None else [value]
    for i in ids:
        if type(i) is not int:
            raise damaged(f"token id {i!r} is no number")
    return ids


def _call_special(data: dict[str, Any], added: dict[int, dict[str, Any]], ids: list[int]) -> None:
    """Count the tokens that begin and end texts among the special ones, whatever `tokenizer.json` says."""
    missing = set(ids).difference(added)
    spelled = {i: piece for piece, i in _vocab_ids(data["model"]).items() if i in missing} if missing else {}
    for i in ids:
        if i in added:
            added[i]["special"] = True
        elif i not in spelled:
            raise damaged(f"token id {i} is not in the vocabulary")
        elif may_be_control(spelled[i]):
            added[i] = {"id": i, "content": spelled[i], "special": True}


def _added(data: dict[str, Any], config: dict[str, Any], specials: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Collect the tokens outside the merges, by id, each with "special" set wherever any file calls it so."""
    added = {token["id"]: dict(token) for token in data.get("added_tokens") or ()}
    for key, token in (config.get("added_tokens_decoder") or {}).items():
        added.setdefault(int(key), {**token, "id": int(key)})
    known = _vocab_ids(data["model"])
    listed = [token for key in _LISTED for token in _flat(specials.get(key))]
    named = {_text(specials.get(key)) for key in _NAMED} | {_text(token) for token in listed}
    by_text = {token["content"]: token for token in added.values()}
    for text in named - {""}:
        if text in by_text:
            by_text[text]["special"] = True
        elif text in known:
            added[known[text]] = {"id": known[text], "content": text, "special": True}
    for token in added.values():
        if type(token["id"]) is not int or not isinstance(token["content"], str) or token["id"] < 0:
            raise damaged(f"tokenizer.json: added token {token!r}")
        token["special"] = bool(token.get("special")) or looks_like_control(token["content"])
    return added


def _flat(value: Any) -> list[Any]:
    values = list(value.values()) if isinstance(value, dict) else value
    return values if isinstance(values, list) else []


def _vocab_ids(model: dict[str, Any]) -> dict[str, int]:
    if model.get("type", "BPE") == "BPE":
        return dict(model["vocab"])
    if model["type"] == "Unigram":
        return {piece: i for i, (piece, _) in enumerate(model["vocab"])}
    raise other_kind(f"tokenizer.json model type {model['type']!r}")


def _steps(part: Any) -> Iterator[dict[str, Any]]:
    """Walk a normaliser, pre-tokenizer, decoder or post-processor and everything nested in it."""
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from _steps(value)
    elif isinstance(part, list):
        for value in part:
            yield from _steps(value)


def _prompt_ids(data: dict[str, Any]) -> tuple[int, ...]:
    """Give the ids that the post-processor puts in front of a text."""
    ids: list[int] = []
    for step in _steps(data.get("post_processor")):
        if step.get("type") != "TemplateProcessing":
            continue
        for item in step["single"]:
            if "Sequence" in item:
                break
            ids += step["special_tokens"][item["SpecialToken"]["id"]]["ids"]
    return tuple(ids)


def _without(part: Any, kind: str) -> Any:
    """Take the steps of one kind out of a normaliser."""
    if not isinstance(part, dict) or part.get("type") == kind:
        return None
    if part.get("type") == "Sequence":
        key = "normalizers"
        return {**part, key: [kept for step in part.get(key, ()) if (kept := _without(step, kind))]}
    return part


def _vocabulary(data: dict[str, Any], added: dict[int, dict[str, Any]]) -> Vocabulary:
    """Build the core with control tokens hidden, and with the dummy space left to Puna."""
    check_patterns(data.get("normalizer"), data.get("pre_tokenizer"))
    for key in _OTHER_BPE:
        if data["model"].get(key):
            raise other_kind(f"tokenizer.json model with {key} {shown(data['model'][key])}")
    byte_level = any(
        step.get("type") == "ByteLevel" for part in ("pre_tokenizer", "decoder") for step in _steps(data.get(part))
    )
    if byte_level:  # without the token of a single byte, text with that byte could not be written at all
        added = {i: token for i, token in added.items() if token["content"] not in BYTE_OF}
    prefix: Literal["none", "first", "every"] = "none"
    doubles = True
    for step in _steps(data.get("normalizer")):
        if step.get("type") == "Prepend":
            prefix = "every"
    for step in _steps(data.get("pre_tokenizer")):
        if step.get("type") == "Metaspace":
            scheme = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never")
            if scheme != "never":
                prefix, doubles = ("first" if scheme == "first" else "every"), False
            step["prepend_scheme"] = "never"
            step.pop("add_prefix_space", None)
    model = _hide(data["model"], added)
    plain = [token for token in added.values() if not token["special"]]
    edited = {
        **data,
        "model": model,
        "normalizer": _without(data.get("normalizer"), "Prepend"),
        "added_tokens": [{**_FLAGS, **token} for token in sorted(plain, key=lambda token: token["id"])],
        "post_processor": None,
        "truncation": None,
        "padding": None,
        "version": "1.0",
    }
    text = json.dumps(edited, ensure_ascii=False)
    with library("tokenizer.json"):
        core = tokenizers.Tokenizer.from_str(text)
    ids = _vocab_ids(model)
    highest = max([*ids.values(), *added], default=-1)
    if highest >= _MOST_IDS:
        raise damaged(f"tokenizer.json: a token has the id {highest}")
    pieces = [""] * (highest + 1)
    for piece, i in ids.items():
        pieces[i] = piece
    for i, token in added.items():
        pieces[i] = token["content"]
    controls = {
        token["content"]: Control(i, token["content"], bool(token.get("lstrip")), bool(token.get("rstrip")))
        for i, token in added.items()
        if token["special"] and token["content"]
    }
    return Vocabulary(core, pieces, controls, frozenset(added), byte_level, prefix, doubles)


_FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}


def _hide(model: dict[str, Any], added: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Give control tokens hidden names in the model's vocabulary, and every added token its id there."""
    names = {t["content"]: hidden_name(i) if t["special"] else t["content"] for i, t in added.items()}
    # By id as well: a file may call one id by two names, and neither may be a way to it.
    names |= {text: hidden_name(i) for text, i in _vocab_ids(model).items() if added.get(i, {}).get("special")}
    hidden = {text for text, name in names.items() if name != text}
    model = {**model}
    unknown = model.get("unk_token")
    if isinstance(unknown, str):
        model["unk_token"] = names.get(unknown, unknown)
    if model.get("type", "BPE") != "BPE":
        size = len(model["vocab"])
        vocab = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
        missing = sorted(i for i in added if i >= size)
        if missing != list(range(size, size + len(missing))):
            raise damaged("added tokens leave a gap behind the vocabulary")
        lowest = min((score for _, score in vocab), default=0.0)
        model["vocab"] = vocab + [[names[added[i]["content"]], lowest - 10.0] for i in missing]
        return model
    present = hidden.intersection(model["vocab"])
    ids = {names.get(piece, piece): i for piece, i in model["vocab"].items()}
    model["vocab"] = ids | {names[token["content"]]: i for i, token in added.items()}
    if any(type(i) is not int or i < 0 for i in ids.values()) or len(set(ids.values())) < len(ids):
        raise damaged("tokenizer.json: two tokens share an id, or an id is no number")
    if present:
        pairs = [merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model.get("merges") or ()]
        model["merges"] = [p for p in pairs if present.isdisjoint((*p, "".join(p)))]
    return model


def _template(path: Path, config: dict[str, Any]) -> str | None:
    """Find the chat template: its own file first, as Transformers does, then the settings."""
    try:
        return read_bounded(path / "chat_template.jinja").decode("utf-8")
    except FileNotFoundError:
        pass
    except ValueError as error:
        raise damaged(f"chat_template.jinja: {error}") from None
    template = _json(path / "chat_template.json").get("chat_template", config.get("chat_template"))
    if isinstance(template, list):  # several by name; "default" is the one for chatting
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None
