"""Token ids by llama.cpp and by Puna: the same vocabularies, the battery of the tests and lines of the data sets.

    pip install -c constraints.txt -e . llama-cpp-python==0.3.36
    python tests/tokens/fetch_vocabularies.py build/vocabularies
    PUNA_VOCABULARIES=build/vocabularies python bench/tokens_vs_llama_cpp.py --markdown build/tokens.md

Needs the default model (`puna pull`), or names GGUF files: `bench/tokens_vs_llama_cpp.py FILE...`. The vocabularies of
PUNA_VOCABULARIES, where it is set, are written as GGUF files without weights for llama.cpp to read; PUNA_DATA adds
lines of the data sets. llama.cpp is asked through its C interface, without special tokens. Prints how many texts come
out alike, shows the first that do not, and ends with status 1 if there are any.
"""

import argparse
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import llama_cpp as lib

sys.path.insert(0, str(Path(__file__).parents[1]))

from puna.tokens.own_files import own_metadata
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from puna.weights.store import resolve
from tests.tokens.battery import battery, data_lines
from tests.tokens.fetch_vocabularies import FILES

SHOWN = 5


class LlamaCpp:
    """A vocabulary in llama.cpp."""

    def __init__(self, path: Path) -> None:
        settings = lib.llama_model_default_params()
        settings.vocab_only = True
        self._model = lib.llama_model_load_from_file(str(path).encode(), settings)
        if not self._model:
            raise RuntimeError(f"llama.cpp does not take {path.name}")
        self._vocab = lib.llama_model_get_vocab(self._model)

    def encode(self, text: str) -> list[int]:
        """Give the ids of a text, its control spellings as text."""
        raw = text.encode()
        room = len(raw) + 8
        ids = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocab, raw, len(raw), ids, room, False, False)
        if count < 0:
            raise RuntimeError(f"{-count} tokens for {len(raw)} bytes")
        return list(ids[:count])

    def close(self) -> None:
        """Give the memory back."""
        lib.llama_model_free(self._model)


def write_vocabulary(metadata: dict[str, Any], path: Path) -> None:
    """Write a GGUF file with a vocabulary and nothing else."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in metadata.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def vocabularies(files: list[str], folder: Path) -> Iterator[tuple[str, Tokenizer, Path]]:
    """Give the name of each vocabulary, Puna's tokenizer and a GGUF file for llama.cpp."""
    for path in map(Path, files) if files else [resolve(None)]:
        metadata = open_checkpoint(path).tokenizer_metadata
        if metadata is None:
            raise SystemExit(f"{path.name} is no GGUF file")
        yield path.stem, Tokenizer.from_gguf(metadata), path
    known = os.environ.get("PUNA_VOCABULARIES")
    for name in FILES if known else ():
        source = Path(str(known)) / name
        if source.is_dir():
            path = folder / f"{name}.gguf"
            write_vocabulary(own_metadata(source), path)
            yield name, Tokenizer.from_folder(source), path


def main() -> int:
    """Compare all and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="GGUF files instead of the default model")
    parser.add_argument("--markdown", type=Path, help="write the table there")
    arguments = parser.parse_args()
    quiet = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(quiet, ctypes.c_void_p(0))
    lib.llama_backend_init()
    texts = [*battery(), *data_lines()]
    rows, differences = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for name, tokenizer, path in vocabularies(arguments.files, Path(folder)):
            other = LlamaCpp(path)
            unlike = [
                (text, ours, theirs)
                for text, ours in zip(texts, tokenizer.encode_batch(texts), strict=True)
                if ours != (theirs := other.encode(text))
            ]
            other.close()
            differences += len(unlike)
            rows.append(f"| {name} | {tokenizer.vocab_size:,} | {len(texts):,} | {len(texts) - len(unlike):,} |")
            print(f"{name}: {len(texts) - len(unlike)} of {len(texts)} texts alike", flush=True)
            for text, ours, theirs in unlike[:SHOWN]:
                print(f"  {text[:200]!r}\n    Puna      {ours[:40]}\n    llama.cpp {theirs[:40]}")
    if arguments.markdown:
        heads = ["| vocabulary | ids | texts | alike |", "|---|---|---|---|"]
        about = f"By `bench/tokens_vs_llama_cpp.py`, llama-cpp-python {lib.__version__}."
        arguments.markdown.write_text("\n".join([*heads, *rows, "", about, ""]), "utf-8")
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main())
