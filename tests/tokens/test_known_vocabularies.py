"""The vocabularies of Llama 3, Llama 4 and Mistral, against their makers' own tokenizers and Transformers.

They are found in PUNA_VOCABULARIES, a folder that fetch_vocabularies.py fills; without it these tests are skipped.
"""

import base64
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import sentencepiece

from puna.tokens.tokenizer import Tokenizer
from tests.tokens.battery import battery, data_lines
from tests.tokens.families import CHATS, LLAMA3, MISTRAL_TEKKEN, MISTRAL_V1
from tests.tokens.fetch_vocabularies import FILES
from tests.tokens.kinds import LLAMA4

JSON = "llama-3-json"
BYTE_LEVEL = ["llama-3", "llama-4", "tekken-240718", "tekken-240911", JSON]
PIECES = [name for name in FILES if name not in BYTE_LEVEL]
TEXTS = [*battery(), *data_lines()]
SPEAKERS = {"mistral-v1": MISTRAL_V1, "llama-3": LLAMA3, "mistral-v3": MISTRAL_TEKKEN, "mistral-v7": MISTRAL_TEKKEN}
SPEAKERS |= {name: MISTRAL_TEKKEN for name in BYTE_LEVEL if name.startswith("tekken")}


def folder_of(name):
    where = os.environ.get("PUNA_VOCABULARIES")
    if not where:
        pytest.skip("PUNA_VOCABULARIES names no folder: run tests/tokens/fetch_vocabularies.py")
    path = Path(where) / name
    if not path.is_dir():
        pytest.skip(f"{path.name} was not fetched")
    return path


@pytest.fixture(scope="module")
def read():
    """Read each vocabulary once."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = Tokenizer.from_folder(folder_of(name))
        return known[name]

    return get


def own(name, texts=(), chats=()):
    """Ask the makers' own tokenizer."""
    (file,) = folder_of(name).iterdir()
    script = Path(__file__).with_name("own_tokenizers.py")
    done = subprocess.run(
        [str(folder_of("venv") / "bin" / "python"), str(script), name, str(file)],
        input=json.dumps({"texts": texts, "chats": chats}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_the_battery_is_large_and_varied():
    assert len(set(battery())) >= 2000
    joined = "".join(battery())
    assert {"\u200d", "\u200f", "好", "\0", "\r", "٣", "▁", "😀"} <= set(joined)
    assert battery() == battery()


@pytest.mark.parametrize("name", FILES)
def test_ids_are_the_makers(read, name):
    tokenizer = read(name)
    # sentencepiece gets a text with its length from Mistral's tokenizer, and cuts it at a NUL all the same.
    texts = [text for text in TEXTS if name in BYTE_LEVEL or "\0" not in text]
    wanted = own(name, texts)["texts"]
    assert len(texts) == len(wanted) >= 2000 - 10
    for text, ours, theirs in zip(texts, tokenizer.encode_batch(texts), wanted, strict=True):
        assert ours == theirs, text


def transformers_of(name, folder, tmp_path):
    """Give Transformers' reading of the same file as a function from text to ids."""
    if name == JSON:
        from transformers import AutoTokenizer

        read = AutoTokenizer.from_pretrained(str(folder))
        return lambda text: read(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]
    if name in PIECES:
        from transformers import LlamaTokenizer
        from transformers.tokenization_utils_base import generate_merges

        # Reading the file itself it takes the merges in the order of ids; those of a run of blanks come out wrong.
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(next(folder.iterdir())))
        ids = {pieces.IdToPiece(i): i for i in range(len(pieces))}
        special = (pieces.IsControl, pieces.IsUnknown, pieces.IsByte)
        ordinary = {piece: i for piece, i in ids.items() if not any(test(i) for test in special)}
        merges = generate_merges(ordinary, {piece: pieces.GetScore(i) for piece, i in ordinary.items()})
        read = LlamaTokenizer(vocab=ids, merges=merges, legacy=True)
        return lambda text: read(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]
    if name.startswith("tekken"):
        from transformers.integrations.mistral.tokenizer import MistralConverter

        data = json.loads((folder / "tekken.json").read_text("utf-8"))
        names = [f"<SPECIAL_{i}>" for i in range(1000)]  # without any it asks Mistral's package; they are no text
        data["special_tokens"] = [{"rank": i, "token_str": n, "is_control": True} for i, n in enumerate(names)]
        (tmp_path / "tekken.json").write_text(json.dumps(data), "utf-8")
        core = MistralConverter(str(tmp_path / "tekken.json")).converted()
    else:
        from transformers.convert_slow_tokenizer import TikTokenConverter

        class Converter(TikTokenConverter):
            """Its reading of the lines needs tiktoken, which only the makers' environment has."""

            @staticmethod
            def load_tiktoken_bpe(file):
                lines = Path(file).read_bytes().split()
                return dict(zip(map(base64.b64decode, lines[::2]), map(int, lines[1::2]), strict=True))

        pattern = {"pattern": LLAMA4} if name == "llama-4" else {}
        core = Converter(str(folder / "tokenizer.model"), **pattern).converted()
    core.encode_special_tokens = True
    return lambda text: core.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("name", [*FILES, JSON])
def test_ids_are_those_of_transformers(read, name, tmp_path):
    tokenizer, theirs = read(name), transformers_of(name, folder_of(name), tmp_path)
    texts = TEXTS
    if name in PIECES:  # before a blank Transformers puts no dummy space, unlike the makers
        texts = [text for text in TEXTS if not text.startswith((" ", "▁")) and text]
    for text, ours in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert ours == theirs(text), text


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_every_text_comes_back(read, name):
    tokenizer = read(name)
    for text, ids in zip(TEXTS, tokenizer.encode_batch(TEXTS), strict=True):
        assert tokenizer.decode(ids) == text
        assert tokenizer.special_ids.isdisjoint(ids)
        decoder = tokenizer.stream_decoder()
        parts = [decoder.feed(i) for i in ids]
        assert "".join(parts) == text
        assert not decoder.flush()


def test_both_files_of_llama_3_are_one_vocabulary(read):
    tiktoken, json_file = read("llama-3"), read(JSON)
    assert tiktoken.encode_batch(TEXTS) == json_file.encode_batch(TEXTS)
    assert tiktoken.vocab_size == json_file.vocab_size == 128256
    assert tiktoken.bos_id == json_file.bos_id == 128000
    assert tiktoken.special_ids == json_file.special_ids == set(range(128000, 128256))
    assert tiktoken.eos_ids == {128001, 128008, 128009}


def test_facts(read):
    """Meta's stop tokens, as in its generation code; Mistral's end."""
    four = read("llama-4")
    assert (four.vocab_size, four.bos_id, four.eos_ids) == (202048, 200000, {200001, 200007, 200008})
    for name in (*PIECES, "tekken-240718"):
        assert (read(name).bos_id, read(name).eos_ids, read(name).end_id) == (1, {2}, 2)


@pytest.mark.parametrize("name", FILES)
def test_control_tokens_are_the_makers(read, name):
    tokenizer = read(name)
    controls = own(name)["controls"]
    for text, i in controls.items():
        assert tokenizer.token_bytes(i).decode() == text
    assert {*controls.values()} <= tokenizer.special_ids <= {*controls.values(), 0}  # 0 is Mistral's <unk>


@pytest.mark.parametrize("name", SPEAKERS)
def test_conversations_are_the_makers(name, tmp_path):
    for file in folder_of(name).iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "chat_template.jinja").write_text(SPEAKERS[name])
    tokenizer = Tokenizer.from_folder(tmp_path)
    chance = random.Random(name)
    contents = [text.strip() for text in TEXTS if text.strip() and "\0" not in text]
    chats = [*CHATS[:2]]
    for _ in range(100):
        said = chance.choices(contents, k=chance.choice([1, 3, 5]))
        chats.append([{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)])
    for messages, wanted in zip(chats, own(name, chats=chats)["chats"], strict=True):
        ids = tokenizer.encode_chat(messages)
        assert ids == wanted, messages
        assert ids.count(tokenizer.bos_id) == 1
