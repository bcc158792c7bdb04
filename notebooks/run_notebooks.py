"""Execute the notebooks and write them back with what they print, and nothing of the machine they ran on.

    python notebooks/run_notebooks.py              # all of them, as `make notebooks` does
    python notebooks/run_notebooks.py notebooks/02*.ipynb

Each runs in an empty folder, by the Python that runs this, and is written only if none of its cells fails.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def load(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run all cells in a folder; raise nbclient's CellExecutionError where one fails."""
    # Without folders of kernels there is one kernel: this Python's.
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client = NotebookClient(
        notebook,
        km=kernel,
        resources={"metadata": {"path": str(folder)}},
        startup_timeout=3600,
        extra_arguments=["--log-level=ERROR"],  # the kernel listens on the loopback interface, and warns of it
        coalesce_streams=True,
        record_timing=False,
    )
    return client.execute()


def clean(notebook: NotebookNode, stem: str) -> NotebookNode:
    """Take away what differs from machine to machine and from run to run; cells are named by their number."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"{stem[:2]}-{number:02}"
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.pop("metadata", None)
            if output.output_type in ("execute_result", "display_data"):
                output.metadata = nbformat.from_dict({})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return notebook


def save(notebook: NotebookNode, path: Path) -> None:
    """Write it whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(nbformat.writes(notebook) + "\n", "utf-8")
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, metavar="NOTEBOOK", default=sorted(FOLDER.glob("*.ipynb")))
    for path in parser.parse_args().paths:
        print(path.name, file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            save(clean(execute(load(path), Path(folder)), path.stem), path)


if __name__ == "__main__":
    main()
