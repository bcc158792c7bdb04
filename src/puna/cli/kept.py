"""`puna kept`: what `--keep` has left on disk."""

import click

from puna.cli.inputs import json_option
from puna.cli.output import language, print_json, printable

_WORDS = {
    "en": {"there": "{count} files, {size:,.1f} MB in {folder}", "gone": "removed {count} files, {size:,.1f} MB"},
    "zh": {
        "there": "{folder} 中有 {count} 个文件，{size:,.1f} MB",
        "gone": "已删除 {count} 个文件，{size:,.1f} MB",
    },
}


@click.command(short_help="Show or clear what --keep has kept.")
@click.option("--clear", is_flag=True, help="Remove it all.")
@json_option
def kept(clear: bool, as_json: bool) -> None:
    """Show what puna ask --keep has kept on disk of the texts that were read, or clear it.

    \b
    Examples:
      puna kept
      puna kept --clear

    Fields of the JSON object: folder, files, bytes, limit, cleared.
    """
    from puna.weights.kept_folder import KeptFolder, kept_dir

    folder = KeptFolder(kept_dir())
    files = folder.clear() if clear else folder.files()
    size = sum(file.size for file in files)
    if as_json:
        facts = {"folder": str(folder.path), "files": len(files), "bytes": size}
        print_json({**facts, "limit": folder.limit, "cleared": clear})
        return
    words = _WORDS[language()]["gone" if clear else "there"]
    click.echo(printable(words.format(count=len(files), size=size / 1e6, folder=folder.path)))
