"""The Hugging Face hub and its mirrors, through huggingface_hub, which is imported only when it is needed."""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from puna.errors import PullError
from puna.weights.digest import Progress, Step
from puna.weights.pull.http import public
from puna.weights.pull.hub import Entry, Hub
from puna.weights.refuse import shown
from puna.weights.store import models_dir

HF_MIRROR = "https://hf-mirror.com"


@dataclass(frozen=True)
class HuggingFace(Hub):
    """The Hugging Face hub: `HF_ENDPOINT` if set, or the mirror, which is not given the user's token."""

    mirror: bool = False

    def address(self) -> str:
        """Give the endpoint, read when it is needed."""
        return HF_MIRROR if self.mirror else os.environ.get("HF_ENDPOINT") or "https://huggingface.co"

    def entries(self) -> tuple[str, list[Entry]]:
        """Ask the hub for commit, names, sizes and, for large files, sha256."""
        with self._errors():
            from huggingface_hub import HfApi

            api = HfApi(endpoint=self.address(), token=self._token(), library_name="puna")
            info = api.model_info(self.repo, revision=self.revision, files_metadata=True)
            files = [
                Entry(file.rfilename, file.size, file.lfs.sha256 if file.lfs else None)
                for file in info.siblings or []
            ]
            return str(info.sha), files

    def get(self, commit: str, entry: Entry, path: Path, staging: Path, progress: Progress | None) -> None:
        """Let huggingface_hub fetch one file; it resumes by itself from its folder in `staging`."""
        with self._errors(), _bar(path.name, entry.size, progress) as bar:
            from huggingface_hub import hf_hub_download

            where = {"local_dir": staging / "hub", "endpoint": self.address(), "token": self._token()}
            fetch: Any = hf_hub_download
            found = fetch(self.repo, entry.path, revision=commit, library_name="puna", **where, **bar)
        Path(found).replace(path)

    def _token(self) -> bool | None:
        return False if self.mirror else None

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the many errors of huggingface_hub and its HTTP client into Puna's."""
        from huggingface_hub import errors

        facts = {"repo": self.repo, "revision": self.revision or "main", "address": public(self.address())}
        try:
            yield
        except PullError:
            raise
        except errors.GatedRepoError as error:
            raise PullError("E-PULL-GATED", **facts) from error
        except (
            errors.RepositoryNotFoundError,
            errors.RevisionNotFoundError,
            errors.EntryNotFoundError,
        ) as error:
            if isinstance(error, errors.LocalEntryNotFoundError):  # its name for: no connection
                raise PullError("E-PULL-HUB", **facts, reason=error.__cause__ or "no connection") from error
            raise PullError("E-PULL-NOT-FOUND", **facts) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise PullError("E-PULL-DISK-FULL", folder=models_dir()) from error
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status in {401, 404}:  # from a mirror that does not say more
                raise PullError("E-PULL-NOT-FOUND", **facts) from error
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PullError("E-PULL-HUB", **facts, reason=shown(reason)) from error


@contextlib.contextmanager
def _bar(name: str, size: int | None, progress: Progress | None) -> Iterator[dict[str, Any]]:
    """Lead huggingface_hub's progress into ours and keep its own bars off the screen."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars, tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.done = int(kwargs.get("initial") or 0)
            super().__init__(*args, **(kwargs | {"disable": True}))  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            self.done += int(n or 0)
            if progress:
                progress(Step("download", name, self.done, size))

    with disable_progress_bars():
        yield {"tqdm_class": Bar} if "tqdm_class" in signature(hf_hub_download).parameters else {}
