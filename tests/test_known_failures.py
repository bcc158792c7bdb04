"""What broke in other programs that open files of strangers, class by class, and the tests that hold it off here.

The classes are those of public advisories: V1 to V12b of model files, V13 to V18 of templates and prompts. Most have
their tests where the code is; `CLASSES` names them, and the tests below are those that have no room of their own.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from puna.answer.settings import Options
from puna.decode.sampling import Sampling
from puna.errors import ModelFileError
from puna.tokens.tokenizer import Tokenizer
from puna.weights import blocks
from puna.weights.checkpoint import open_checkpoint
from tests.fuzz.seeds import make_seeds
from tests.test_house import MODULES, ROOT, tree
from tests.weights.test_gguf_hostile import HOSTILE

GGUF, HEADERS, TEMPLATE = "weights/test_gguf_hostile.py", "weights/test_folder.py", "tokens/test_template.py"
REFUSED = f"{GGUF}::test_refused_under_its_code_without_memory"
FUZZ = "fuzz/test_fuzz.py::test_broken_files_load_or_are_refused"
HERE = "test_known_failures.py"
CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "V1": ("sizes that wrap in 64 bits", (REFUSED, f"{HEADERS}::test_hostile_headers", FUZZ)),
    "V2": (
        "offsets and sizes beyond the file, and tensors that overlap",
        (REFUSED, f"{HEADERS}::test_hostile_headers", f"{HERE}::test_neighbouring_memory_is_never_read"),
    ),
    "V3": ("counts of 2^60 that are believed", (REFUSED, f"{GGUF}::test_there_are_enough_of_them", FUZZ)),
    "V4": ("arrays in arrays", (REFUSED, "tokens/test_hostile.py::test_nesting")),
    "V5": (
        "tokens too long, ids outside the vocabulary",
        (
            REFUSED,
            "weights/test_gguf_config.py::test_special_ids",
            "native/test_head.py::test_no_such_token",
            "native/test_forward.py::test_reading_refuses_what_is_no_token",
            "tokens/test_hostile.py::test_faults_of_a_tokenizer_json",
        ),
    ),
    "V6": (
        "headers that two readers understand differently, or that take for ever",
        (
            f"{HEADERS}::test_hostile_headers",
            f"{HEADERS}::test_headers_that_are_read_are_read_as_the_library_does",
            f"{HEADERS}::test_mutated_headers_are_read_or_refused",
        ),
    ),
    "V7": ("memory of before that shows through", (f"{HERE}::test_every_number_is_written",)),
    "V8": (
        "pickles",
        ("test_house.py::test_nothing_runs_code_from_data", "weights/test_checkpoint.py::test_what_is_no_model"),
    ),
    "V9": (
        "code of a model's own, and guards that vanish with python -O",
        (f"{HERE}::test_code_beside_a_model_is_not_run", f"{HERE}::test_no_guard_is_an_assertion"),
    ),
    "V10": (
        "names from a file that become paths",
        (
            f"{HEADERS}::test_shard_names_stay_inside",
            "tokens/test_hostile.py::test_links_that_lead_out",
            "weights/test_store.py::test_names_that_pass_are_single_harmless_file_names",
            "weights/test_store.py::test_manifest",
            "weights/test_pull.py::test_hostile_members",
        ),
    ),
    "V11": (
        "a revision that holds for some of the files",
        ("weights/test_pull.py::test_revisions", "weights/test_pull.py::test_what_a_hub_lists_is_not_believed"),
    ),
    "V12": (
        "a fuzzer that runs and opens nothing",
        ("fuzz/test_fuzz.py::test_no_file_is_a_failure", "fuzz/test_fuzz.py::test_it_finds_what_it_looks_for"),
    ),
    "V12b": ("tensors from the network, unchecked", (f"{HERE}::test_nothing_listens",)),
    "V13": (
        "templates outside a sandbox",
        (
            "test_house.py::test_only_the_sandbox_makes_template_environments",
            "test_house.py::test_the_sandbox_is_the_immutable_one",
            f"{TEMPLATE}::test_nothing_else_makes_an_environment",
        ),
    ),
    "V14": (
        "ways out of the sandbox",
        (f"{TEMPLATE}::test_escapes_get_nowhere", f"{TEMPLATE}::test_escapes_are_called_what_they_are", FUZZ),
    ),
    "V15": (
        "templates that take all time and memory",
        (
            f"{TEMPLATE}::test_bombs_end_in_one_clear_line",
            "cli/test_strange_models.py::test_hostile_template",
            FUZZ,
        ),
    ),
    "V16": (
        "text that spells control tokens",
        (
            "tokens/test_chat.py::test_contents_never_write_control_tokens",
            "tokens/test_chat.py::test_no_random_text_is_a_control_token",
            "tokens/test_hostile.py::test_no_second_name_leads_to_a_control_token",
        ),
    ),
    "V17": (
        "expressions that recurse or backtrack",
        (
            "tokens/test_long_runs.py::test_a_hundred_thousand",
            "tokens/test_long_runs.py::test_a_million",
            "tokens/test_hostile.py::test_expressions_that_may_not_end",
            "tokens/test_hostile.py::test_a_panic_of_the_library_is_an_error",
        ),
    ),
    "V18": ("grammars and expressions of a client", (f"{HERE}::test_no_grammar_is_taken",)),
}


def test_every_class_has_its_tests() -> None:
    assert list(CLASSES) == [f"V{n}" for n in range(1, 13)] + ["V12b"] + [f"V{n}" for n in range(13, 19)]
    for what, tests in CLASSES.values():
        assert what
        assert tests
        for test in tests:
            path, _, name = test.partition("::")
            functions = {
                node.name for node in tree(ROOT / "tests" / path).body if isinstance(node, ast.FunctionDef)
            }
            assert name in functions, test


@pytest.mark.parametrize(
    ("number", "cases"),
    {
        "V1": (
            "dim that wraps with its type",
            "type I8 of 0x7FFFFFFFFFFFFFC0",
            "dims whose product is 2^64 and bytes 0",
        ),
        "V2": ("offset past the end", "offset 2^64-32", "one number past the end", "overlap by four bytes"),
        "V3": ("2^60 tensors", "2^60 keys", "array of 2^60 strings", "2^32-1 dims", "alignment 0"),
        "V4": ("array of an array", "arrays 10000 deep"),
        "V5": ("entry of 64 KiB and one", "entry of 2^63 bytes"),
    }.items(),
)
def test_the_cases_of_a_class_are_among_the_files(number: str, cases: tuple[str, ...]) -> None:
    assert number in CLASSES
    assert set(cases) <= HOSTILE.keys()


def test_neighbouring_memory_is_never_read(tmp_path: Path) -> None:
    """A file cut anywhere is refused before a tensor is; what is read is the file's own bytes."""
    whole = next(seed.files["model.gguf"] for seed in make_seeds() if seed.name == "gguf-packed")
    path = tmp_path / "model.gguf"
    for size in {len(whole) - 1, len(whole) - 32, len(whole) // 2}:
        path.write_bytes(whole[:size])
        with pytest.raises(ModelFileError) as caught:
            open_checkpoint(path)
        assert caught.value.code == "E-GGUF-TRUNCATED"


@pytest.mark.parametrize("kind", sorted(blocks.FORMATS))
def test_every_number_is_written(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory is full of NaN here: none may survive, whatever the number of rows, chunks and threads."""
    form, rng = blocks.FORMATS[kind], np.random.default_rng(5)
    empty = torch.empty

    def poisoned(*sizes: object, **options: object) -> torch.Tensor:
        made = empty(*sizes, **options)  # type: ignore[call-overload]
        return made.fill_(float("nan")) if made.is_floating_point() else made.fill_(113)

    monkeypatch.setattr(torch, "empty", poisoned)
    monkeypatch.setattr(blocks, "_CHUNK_ITEMS", form.items * 3)
    for rows, width in ((1, 1), (2, 3), (7, 5), (64, 2), (33, 7)):
        numbers = rng.standard_normal((rows, width * form.items)).astype(np.float32)
        if kind in ("Q2_K", "Q3_K", "Q5_K", "Q4_K", "Q6_K"):  # gguf-py reads these only
            raw = rng.integers(0, 60, (rows, width * form.bytes), np.uint8)  # scales of bytes below 60 are finite
        else:
            raw = gguf.quantize(numbers, gguf.GGMLQuantizationType[kind]).view(np.uint8)
        want = gguf.dequantize(
            raw
            if kind not in ("F32", "F16")
            else raw.view(kind.replace("F", "<f").replace("32", "4").replace("16", "2")),
            gguf.GGMLQuantizationType[kind],
        )
        found = blocks.dequantize(torch.from_numpy(raw.copy()), kind, torch.float32)
        assert torch.equal(found, torch.from_numpy(np.array(want)))


SPY = "import pathlib; pathlib.Path(__file__).with_name('ran').touch()\nclass LlamaConfig: pass\nclass Tokenizer: pass\n"


def test_code_beside_a_model_is_not_run(tmp_path: Path) -> None:
    """`auto_map` names code that other programs run; here the model is refused, and its tokenizer read without it."""
    files = next(seed.files for seed in make_seeds() if seed.name == "folder-head")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "modeling_x.py").write_text(SPY)
    (tmp_path / "tokenization_x.py").write_text(SPY)
    for name, classes in (
        ("config.json", {"AutoConfig": "modeling_x.LlamaConfig"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["tokenization_x.Tokenizer", None]}),
    ):
        found = json.loads((tmp_path / name).read_bytes())
        (tmp_path / name).write_text(json.dumps({**found, "auto_map": classes, "trust_remote_code": True}))
    Tokenizer.from_folder(tmp_path).encode("the cat")
    done = subprocess.run(
        [sys.executable, "-m", "puna.cli.main", "generate", "hi", "--model", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "[E-CONFIG-UNKNOWN]" in done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_guard_is_an_assertion(path: Path) -> None:
    """`python -O` leaves assertions out. One is left in, of a pipe that the line before it asked for."""
    lines = path.read_text("utf-8").splitlines()
    found = [lines[node.lineno - 1].strip() for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
    assert [line for line in found if "a pipe was asked for" not in line] == []


LISTENERS = {
    "socketserver",
    "http.server",
    "xmlrpc",
    "asyncio",
    "multiprocessing.connection",
    "multiprocessing.managers",
    "ray",
    "zmq",
    "grpc",
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_nothing_listens(path: Path) -> None:
    """Puna has no server of tensors; what trains on several processes talks through torch's own, on one machine."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    assert {name for name in found if name in LISTENERS or name.split(".")[0] in LISTENERS} == set()


def test_no_grammar_is_taken() -> None:
    """What is asked for and how a text is written on has no place for a grammar, a schema or an expression."""
    for options in (Options.__annotations__, Sampling.__annotations__):
        assert options
        assert not [
            name for name in options if any(word in name for word in ("grammar", "schema", "regex", "pattern"))
        ]
    listed = subprocess.run(
        [sys.executable, "-m", "puna.cli.main", "generate", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "--temperature" in listed
    assert not [word for word in ("--grammar", "--schema", "--regex", "--json-schema") if word in listed]
