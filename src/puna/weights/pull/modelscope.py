"""ModelScope, whose lists of files carry the sha256 of each, with Puna's own downloader."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from puna.errors import PullError
from puna.weights.digest import Progress
from puna.weights.pull.download import download
from puna.weights.pull.http import fetch_json
from puna.weights.pull.hub import Entry, Hub

MODELSCOPE = "https://www.modelscope.cn"


@dataclass(frozen=True)
class ModelScope(Hub):
    """ModelScope, with Puna's own downloader."""

    def address(self) -> str:
        """Give the site."""
        return MODELSCOPE

    def entries(self) -> tuple[str, list[Entry]]:
        """Ask for names, sizes and sha256; the files' sha256 stands in for a commit."""
        revision = self.revision or "master"
        query = urlencode({"Revision": revision, "Recursive": "true"})
        try:
            answer = fetch_json(f"{MODELSCOPE}/api/v1/models/{self.repo}/repo/files?{query}")
            files = [file for file in answer["Data"]["Files"] if file.get("Type") != "tree"]
            listed = [Entry(str(f["Path"]), int(f["Size"]), str(f["Sha256"]).lower() or None) for f in files]
        except PullError as error:
            if error.parameters.get("status") in {401, 403, 404}:
                facts = {"repo": self.repo, "revision": revision, "address": MODELSCOPE}
                raise PullError("E-PULL-NOT-FOUND", **facts) from error
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            facts = {"repo": self.repo, "address": MODELSCOPE, "reason": "no list of files"}
            raise PullError("E-PULL-HUB", **facts) from error
        return revision, listed

    def get(self, commit: str, entry: Entry, path: Path, staging: Path, progress: Progress | None) -> None:
        """Fetch one file with our own downloader."""
        url = f"{MODELSCOPE}/models/{self.repo}/resolve/{quote(commit, safe='')}/{quote(entry.path)}"
        download(url, path, sha256=entry.sha256, size=entry.size, progress=progress)
