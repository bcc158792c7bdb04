"""Rules of the house that no linter of ours knows."""

import ast
import logging
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "puna"
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST = 500
# Each of these runs code that it finds in data, or can be made to.
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "torch.load",
    "yaml.load",
    "yaml.unsafe_load",
    "numpy.load",
    "np.load",
}
FORBIDDEN_CALLS |= {"torch.hub.load", "torch.jit.load", "pandas.read_pickle", "__import__", "os.system"}
HEAVY = {"torch", "numpy", "rich", "huggingface_hub", "transformers", "tokenizers", "jinja2", "safetensors", "gguf"}
MACHINE_PATHS = tuple(f"/{name}/" for name in ("home", "root", "work", "tmp"))

by_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def dotted(node: ast.expr) -> str:
    """Give a name such as torch.load, or "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (stem := dotted(node.value)):
        return f"{stem}.{node.attr}"
    return ""


def names_of(module: ast.Module) -> dict[str, str]:
    """Give what each imported name stands for: "t" is torch after `import torch as t`."""
    names: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def used(module: ast.Module) -> Iterator[str]:
    """List what is called or inherited from, under its full name."""
    names = names_of(module)
    for node in ast.walk(module):
        parts = [node.func] if isinstance(node, ast.Call) else node.bases if isinstance(node, ast.ClassDef) else []
        for part in parts:
            if name := dotted(part):
                first, dot, rest = name.partition(".")
                yield (names.get(first, first) + dot + rest).removeprefix("builtins.")


def dangers(module: ast.Module) -> list[str]:
    """List what a module imports or calls that runs code from data, under whatever name it was imported."""
    found = [name for name in used(module) if name in FORBIDDEN_CALLS]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [str(node.module)] * (str(node.module).split(".")[0] in FORBIDDEN_MODULES)
    return found


def tracked() -> list[Path]:
    """List the files that git tracks; outside a checkout, those that a source archive carries."""
    if not (ROOT / ".git").exists():
        return [path for part in ("src", "tests", "docs") for path in (ROOT / part).rglob("*.*") if path.is_file()]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def test_there_are_modules() -> None:
    assert len(MODULES) > 40


@by_module
def test_no_long_module(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


WEIGHTS_ONLY = SOURCE / "weights" / "pth.py"


@by_module
def test_nothing_runs_code_from_data(path: Path) -> None:
    assert dangers(tree(path)) == (["torch.load"] if path == WEIGHTS_ONLY else [])


def test_the_one_load_of_a_pickle_takes_weights_only() -> None:
    calls = [node for node in ast.walk(tree(WEIGHTS_ONLY)) if isinstance(node, ast.Call)]
    (load,) = (call for call in calls if dotted(call.func) == "torch.load")
    said = {keyword.arg: ast.literal_eval(keyword.value) for keyword in load.keywords}
    assert said["weights_only"] is True
    assert said["mmap"] is True


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import marshal as m",
        "eval('1')",
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x')",
        "from torch import load\nload('x')",
        "from torch import load as get\nget('x')",
        "import builtins\nbuiltins.exec('1')",
        "def f():\n    import yaml\n    yaml.load('x')",
    ],
)
def test_the_search_for_it_works(source: str) -> None:
    assert dangers(ast.parse(source))


def test_the_search_for_it_spares_the_rest() -> None:
    harmless = (
        "import re\nfrom puna.llama.load import load as load_model\nre.compile('x')\nload_model('y')\nmodel.eval()"
    )
    assert dangers(ast.parse(harmless)) == []


@by_module
def test_only_the_sandbox_makes_template_environments(path: Path) -> None:
    makers = [
        name
        for name in used(tree(path))
        if name.startswith("jinja2.") and name.endswith(("Environment", ".Template", ".from_string"))
    ]
    assert not makers or path.relative_to(SOURCE).as_posix() in ("tokens/sandbox.py", "tokens/template.py")


def test_the_sandbox_is_the_immutable_one() -> None:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    import puna.tokens.sandbox
    import puna.tokens.template

    made = [
        value
        for module in (puna.tokens.sandbox, puna.tokens.template)
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "from_string")
    ]
    assert made
    assert all(issubclass(one, ImmutableSandboxedEnvironment) for one in made)


def undocumented(body: list[ast.stmt], stem: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if not node.name.startswith("_") and not ast.get_docstring(node) and not overloaded(node):
                yield stem + node.name
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from undocumented(node.body, f"{stem}{node.name}.")


def overloaded(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(dotted(decorator).split(".")[-1] == "overload" for decorator in node.decorator_list)


@by_module
def test_public_names_have_docstrings(path: Path) -> None:
    module = tree(path)
    assert ast.get_docstring(module)
    assert list(undocumented(module.body)) == []


def test_the_end_looks_through_no_objects() -> None:
    code = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1000))\n"
        "from puna.cli.main import main; main(['--version'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], [], ["ask", "--help"], ["info", "--help"]], ids=str
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "puna.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode in ((0, 2) if not arguments else (0,))
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in lines}
    assert {"click", "puna"} <= imported
    assert imported & HEAVY == set()


def test_version_is_the_packages() -> None:
    import puna

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == puna.__version__
    done = subprocess.run(
        [sys.executable, "-m", "puna.cli.main", "--version"], capture_output=True, text=True, check=True
    )
    assert puna.__version__ in done.stdout


def test_torch_is_pinned_within_what_the_package_asks_for() -> None:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    for pin in pinned:
        (version,) = pin.specifier
        assert version.operator == "=="
        assert version.version in wanted.get(pin.name, SpecifierSet())


def test_no_path_of_a_machine() -> None:
    files = tracked()
    assert len(files) > 50
    for path in files:
        text = path.read_bytes().decode("utf-8", "replace")
        found = [
            f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(text.splitlines(), 1) if names_a_place(line)
        ]
        assert found == []


def names_a_place(line: str) -> bool:
    return any(place in line for place in MACHINE_PATHS)


def test_licence() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_arrows_point_down(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(logging.getLogger("puna"), "disabled", False)  # the linter disables all loggers
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def test_every_room_stands_in_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = {room.strip() for layer in contracts[0]["layers"] for room in layer.split("|")}
    rooms = {f"puna.{path.stem}" for path in SOURCE.iterdir() if path.suffix == ".py" and path.stem != "__init__"}
    rooms |= {f"puna.{path.parent.name}" for path in SOURCE.glob("*/__init__.py")}
    assert rooms == layers
