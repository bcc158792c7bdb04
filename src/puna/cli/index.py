"""`puna index`: files become a library that is asked with `puna ask --library`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puna.cli.inputs import json_option
from puna.cli.interrupt import stopping
from puna.cli.output import counting, language, print_json, print_table, printable, say

if TYPE_CHECKING:
    from puna.library.indexing import Step, Summary
    from puna.library.types import Store

_WORDS = {
    "en": {
        "indexing": "indexing",
        "done": "{added} added, {replaced} replaced, {unchanged} unchanged, {removed} removed, {skipped} skipped",
        "skipped": "skipped: {message} [{code}]",
        "unknown": "of other kinds and left out: {kinds}",
        "hidden": "hidden and left out: {hidden}",
        "stopped": "stopped after {done} of {files} files; the same command goes on from there",
        "heads": "path\tcharacters\tpassages",
        "sound": "nothing is wrong with it",
    },
    "zh": {
        "indexing": "索引中",
        "done": "新增 {added}，更新 {replaced}，未变 {unchanged}，移除 {removed}，跳过 {skipped}",
        "skipped": "已跳过：{message} [{code}]",
        "unknown": "其他类型，未收入：{kinds}",
        "hidden": "隐藏文件或文件夹，未收入：{hidden}",
        "stopped": "共 {files} 个文件，已处理 {done} 个后停止；再次运行同一命令会接着做",
        "heads": "路径\t字符\t段落",
        "sound": "没有发现问题",
    },
}


@click.command(short_help="Make a library of files, or bring it up to date.")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--library", required=True, metavar="DIR|postgresql://…", help="Where the library lives.")
@click.option(
    "--vectors", metavar="MODEL", help="Keep vectors too, by this sentence-embedding model: a name or a folder."
)
@click.option(
    "--synonyms",
    type=click.Path(path_type=Path),
    help="Words that find each other, a group a line; kept until others are given.",
)
@click.option("--list", "listing", is_flag=True, help="List what the library holds.")
@click.option("--check", "checking", is_flag=True, help="Look the whole library over.")
@json_option
def index(
    paths: tuple[str, ...],
    library: str,
    vectors: str | None,
    synonyms: Path | None,
    listing: bool,
    checking: bool,
    as_json: bool,
) -> int:
    """Put files, and all files in folders, into a library; run it again after files have changed.

    Unchanged files are known by their content and skipped, changed ones replaced, deleted ones removed; what is held from
    elsewhere stays. Each document is safe on the disk before it counts as done: a run that was killed or stopped by
    Ctrl-C goes on where it was. Files that cannot be read are named and skipped. Several may index and ask at once.

    --vectors is said when a library is made; its model is loaded again on each later run. A line of --synonyms is such as
    "珠穆朗玛峰, 珠峰, Mount Everest": then a passage with one of them is found by the others, too.

    \b
    Fields of the JSON object:
      library, files, added, replaced, unchanged, removed, hidden, stopped
      skipped   a list: path, code, message
      unknown   how many files of each suffix were left out
      --list    documents, a list: id, path, digest, size, title, characters, passages
      --check   findings, a list of sentences

    Exit codes: 0 all done, 1 files were skipped or --check found something, 2 bad input, 130 stopped.

    \b
    Examples:
      puna index manuals/ notes.md --library my.library
      puna ask "How is it cleaned?" --library my.library
    """
    if bool(paths) == (listing or checking) or (listing and checking):
        raise click.UsageError("give PATH..., or --list, or --check")
    if synonyms and not paths:
        raise click.UsageError("--synonyms goes with PATH...")
    from puna.library.store import open_store
    from puna.library.synonyms import Synonyms

    store = open_store(library, create=bool(paths), synonyms=Synonyms.read(synonyms) if synonyms else None)
    try:
        if listing:
            return _list(store, library, as_json)
        if checking:
            return _check(store, library, as_json)
        return _index(paths, store, library, vectors, as_json)
    finally:
        store.close()


def _index(paths: tuple[str, ...], store: "Store", library: str, vectors: str | None, as_json: bool) -> int:
    from puna.library.embedding import SentenceEmbedder
    from puna.library.indexing import MODEL
    from puna.library.indexing import index as index_files

    words, model = _WORDS[language()], vectors or store.setting(MODEL)
    if model and not sys.stderr.isatty():
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()  # theirs, of loading and fetching
    embedder = SentenceEmbedder(model) if model else None
    with counting(words["indexing"], 0) as bar, stopping() as stop:

        def step(made: "Step") -> None:
            bar(made.done, total=made.total)

        found = index_files(paths, store, step, embedder=embedder, stop=stop)
    skipped = [(str(e.parameters.get("path", "")), e.code, e.describe(language())[0]) for e in found.skipped]
    if as_json:
        rows = [dict(zip(("path", "code", "message"), each, strict=True)) for each in skipped]
        print_json({"library": library, **_numbers(found), "skipped": rows, "unknown": dict(found.unknown)})
    else:
        for _, code, message in skipped:
            click.echo(printable(words["skipped"].format(message=message, code=code)), err=True)
        if found.unknown:
            kinds = ", ".join(f"{count} {suffix or '?'}" for suffix, count in found.unknown)
            say(words["unknown"].format(kinds=kinds))
        if found.hidden:
            say(words["hidden"].format(hidden=found.hidden))
        click.echo(words["done"].format(**{**_numbers(found), "skipped": len(skipped)}))
    if found.stopped:
        done = found.added + found.replaced + found.unchanged
        say(words["stopped"].format(done=done, files=found.files))
        return 130
    return 1 if skipped else 0


def _numbers(found: "Summary") -> dict[str, int | bool]:
    names = ("files", "added", "replaced", "unchanged", "removed", "hidden", "stopped")
    return {name: getattr(found, name) for name in names}


def _list(store: "Store", library: str, as_json: bool) -> int:
    from dataclasses import asdict

    entries = list(store.entries())
    if as_json:
        print_json({"library": library, "documents": [asdict(entry) for entry in entries]})
    elif entries:
        rows = [[e.path, f"{e.characters:,}", f"{e.passages:,}"] for e in entries]
        print_table(_WORDS[language()]["heads"].split("\t"), rows)
    return 0


def _check(store: "Store", library: str, as_json: bool) -> int:
    findings = store.check()
    if as_json:
        print_json({"library": library, "findings": findings})
    else:
        for finding in findings or [_WORDS[language()]["sound"]]:
            click.echo(printable(finding))
    return 1 if findings else 0
