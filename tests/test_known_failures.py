"""What broke in other programs, and the tests that hold it off here: files of strangers, and Llama computed wrongly.

The classes are those of public advisories: V1 to V12b of model files, V13 to V18 of templates and prompts, V19 to V34 of
services, V35 to V38 of documents, V46 of pages. Most have their tests where the code is; `CLASSES` names them, and the
tests below are those that have no room of their own.
`PITFALLS` are where implementations of Llama went wrong, with an issue of each.
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
DOCUMENTS, PARSE = "library/test_hostile_documents.py", "library/test_parse.py"
COMPANY, ENGINE, SECURITY = "serve/test_company.py", "serve/test_engine.py", "serve/test_security.py"
HELD, PAGE = "serve/test_documents.py", "serve/page"
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
        (
            "test_house.py::test_nothing_runs_code_from_data",
            "weights/test_checkpoint.py::test_what_is_no_model",
            "weights/test_meta.py::test_a_pickle_runs_nothing",
            "weights/test_meta.py::test_other_pickles_run_nothing",
            FUZZ,
        ),
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
    "V19": (
        "other people's text",
        (f"{COMPANY}::test_no_foreign_text", f"{COMPANY}::test_many_at_once_equal_one_at_a_time"),
    ),
    "V20": (
        "keys of caches that collide",
        (
            f"{COMPANY}::test_tenants_share_nothing_that_was_read",
            "rank/test_shelf.py::test_equals_a_cold_shelf_to_the_last_bit",
        ),
    ),
    "V21": (
        "times that tell what others have asked, and keys",
        (
            f"{COMPANY}::test_tenants_share_nothing_that_was_read",
            f"{SECURITY}::test_keys_are_compared_in_constant_time",
        ),
    ),
    "V22": ("scores of prompts times the vocabulary", (f"{SECURITY}::test_scores_take_bounded_memory",)),
    "V23": (
        "one odd request that ends the engine for all",
        (
            f"{ENGINE}::test_one_that_fails_fails_alone",
            f"{ENGINE}::test_a_call_that_raises_is_told_what",
            f"{SECURITY}::test_numbers_that_are_none",
            "serve/test_routes.py::test_refused",
        ),
    ),
    "V24": ("requests that ask for very many", (f"{SECURITY}::test_fan_out_is_one_cost",)),
    "V25": (
        "clients that are gone and still computed for",
        (
            f"{ENGINE}::test_a_client_that_goes_frees_its_place",
            f"{ENGINE}::test_a_dropped_call_ends_at_its_next_step",
            f"{ENGINE}::test_a_text_that_is_dropped_is_not_read_on",
            f"{HELD}::test_an_upload_that_is_given_up_is_not_kept",
        ),
    ),
    "V26": ("memory that grows with every request", (f"{ENGINE}::test_nothing_is_kept_of_requests",)),
    "V27": (
        "answers that depend on who else asks",
        (
            f"{COMPANY}::test_many_at_once_equal_one_at_a_time",
            f"{COMPANY}::test_a_batch_equals_its_members",
            "native/test_stretches.py::test_same_row_in_any_company",
        ),
    ),
    "V28": (
        "forms without bounds, hosts that change paths",
        (f"{SECURITY}::test_floors", f"{SECURITY}::test_foreign_hosts", f"{SECURITY}::test_no_host_and_two_hosts"),
    ),
    "V29": (
        "bodies that are read whole, then found too large; names of uploads",
        (
            f"{SECURITY}::test_bodies_are_bounded_before_they_are_parsed",
            f"{SECURITY}::test_an_old_package_is_refused",
            f"{SECURITY}::test_upload_names",
            f"{HELD}::test_uploads_that_are_none",
            f"{HELD}::test_a_name_is_no_path",
            f"{HELD}::test_too_many_uploads",
        ),
    ),
    "V30": (
        "large heads, slow clients, forged lines",
        (
            f"{SECURITY}::test_large_headers",
            f"{SECURITY}::test_slow_clients_are_let_go",
            f"{SECURITY}::test_log_lines_cannot_be_forged",
        ),
    ),
    "V31": (
        "keys that guard some routes, fields that nobody meant to take",
        (f"{SECURITY}::test_every_route_needs_a_key", f"{SECURITY}::test_unknown_fields_are_refused"),
    ),
    "V32": (
        "browsers as attackers",
        (
            f"{SECURITY}::test_foreign_hosts",
            f"{SECURITY}::test_foreign_pages",
            f"{SECURITY}::test_only_json",
            f"{SECURITY}::test_no_open_door",
        ),
    ),
    "V33": ("addresses from requests that are fetched", (f"{SECURITY}::test_nothing_is_fetched",)),
    "V34": (
        "errors that tell addresses and paths",
        (
            f"{SECURITY}::test_errors_tell_nothing_of_this_machine",
            f"{ENGINE}::test_a_stream_that_fails_says_so",
            f"{HELD}::test_a_full_disk",
        ),
    ),
    "V35": (
        "PDFs that loop or take all memory",
        (
            f"{DOCUMENTS}::test_pdfs",
            f"{PARSE}::test_time_has_an_end",
            f"{PARSE}::test_memory_has_an_end",
            f"{PARSE}::test_a_process_that_hangs_is_ended",
            f"{PARSE}::test_a_process_that_has_died_is_replaced",
        ),
    ),
    "V36": (
        "parsers that run what they find in a file",
        (
            f"{DOCUMENTS}::test_pdfs",
            f"{PARSE}::test_no_file_no_connection_no_process",
            f"{PARSE}::test_whatever_comes_back_is_an_error_of_ours",
            f"{PARSE}::test_the_caller_has_no_parser",
            "test_house.py::test_nothing_runs_code_from_data",
        ),
    ),
    "V37": (
        "XML that declares entities, or includes files",
        (
            f"{DOCUMENTS}::test_archives_and_xml",
            f"{DOCUMENTS}::test_what_is_refused_for_what_it_holds_shows_nothing_of_other_files",
        ),
    ),
    "V38": (
        "archives that unpack to too much, names in them that are paths, lines and nesting without end",
        (
            f"{DOCUMENTS}::test_archives_and_xml",
            f"{DOCUMENTS}::test_texts",
            "library/test_word.py::test_bounds",
            "library/test_book.py::test_names_are_looked_up_and_lead_nowhere",
            f"{PARSE}::test_an_archive_in_memory_leaves_no_file",
            "library/test_walk.py::test_links_that_lead_out_are_told_and_not_followed",
            "library/test_walk.py::test_loops_of_links_end",
        ),
    ),
    "V46": (
        "documents, names and errors that become markup",
        (
            f"{PAGE}/test_files.py::test_text_never_becomes_markup",
            f"{PAGE}/test_hostile.py::test_markup_in_documents_names_questions_and_candidates",
            f"{PAGE}/test_hostile.py::test_markup_in_an_error",
            f"{PAGE}/test_hostile.py::test_what_was_put_into_the_history",
            f"{PAGE}/test_library.py::test_markup_in_documents_and_their_names",
            f"{HELD}::test_markup_is_data",
        ),
    ),
}

FAR, LLAMA, FAMILIES = "llama/test_rope_far.py", "oracle/test_llama.py", "oracle/test_families.py"
FORWARD, SCORE, FOREST = "llama/test_forward.py", "rank/test_score.py", "rank/test_forest.py"
PITFALLS: dict[str, tuple[str, ...]] = {
    "rotary pairs side by side or half a head apart (transformers #25199)": (
        f"{LLAMA}::test_interleaved_pairing_is_the_half_pairing_permuted",
        "oracle/test_formats.py::test_layouts_agree",
        "oracle/test_formats.py::test_wrong_pairing_would_show",
    ),
    "rows of q and k permuted, by key heads for k, and not in Qwen (transformers #31766, llama.cpp #3364)": (
        "weights/test_checkpoint.py::test_every_form_has_the_same_tensors",
        "weights/test_names.py::test_only_q_and_k_move",
        f"{FAMILIES}::test_rows_of_qwen_stay_where_they_are",
    ),
    "rotary phases in few bits (transformers #25681, #29285)": (
        f"{LLAMA}::test_bf16_leaves_the_frequencies_alone",
        f"{FAR}::test_from_config_json",
    ),
    "Llama 3's scaling left out, by either key, or as rope_freqs (llama.cpp #8676)": (
        f"{FAR}::test_from_config_json",
        f"{FAR}::test_from_a_gguf_file",
        "llama/test_config.py::test_old_and_new_names_of_scaling",
        "weights/test_meta.py::test_scaled_rotations",
    ),
    "YaRN, linear and dynamic scaling by a wrong formula, tables of another theta": (
        f"{FAR}::test_every_scaling_is_among_them",
        f"{FAR}::test_a_wrong_formula_would_show",
        f"{LLAMA}::test_two_thetas_in_one_process",
        f"{FAR}::test_several_bases_and_scalings_at_once",
    ),
    "another epsilon, norms in few bits (llama.cpp #2373)": (
        f"{LLAMA}::test_eps_shows_in_the_logits",
        f"{LLAMA}::test_norm",
    ),
    "a tied head that is not there, or both (tinygrad #13796, vLLM #6758)": (
        "weights/test_folder.py::test_tied_embeddings",
        "weights/test_meta.py::test_a_tied_head",
        f"{LLAMA}::test_logits_of_every_shape",
    ),
    "the order of grouped heads, head sizes of their own, feed-forward widths (llama.cpp #2276)": (
        f"{LLAMA}::test_grouped_attention_is_attention_with_repeated_heads",
        f"{FAMILIES}::test_every_folder",
        "weights/test_meta.py::test_feed_forward_widths_of_published_models",
    ),
    "a causal mask aligned to the wrong corner behind a cache (pytorch #103082)": (
        f"{FORWARD}::test_chunked_and_cached_equal_one_shot",
        "native/test_forward.py::test_chunked_equals_one_shot_to_the_last_bit",
    ),
    "padding at the left: rows that see nothing, positions of columns (transformers #25284)": (
        f"{FORWARD}::test_padded_equals_unpadded",
        f"{FORWARD}::test_packed_equals_single",
    ),
    "positions of a cache that is used again, cut or shared (mlx-lm #1396)": (
        f"{FORWARD}::test_truncated_cache_equals_a_cold_one",
        "rank/test_shelf.py::test_equals_a_cold_shelf_to_the_last_bit",
        f"{FOREST}::test_odd_trees",
    ),
    "text cut by the wrong rule, digits, dummy spaces, bytes (llama.cpp #6920, transformers #24569)": (
        "tokens/test_default_model.py::test_ids_equal_transformers",
        "tokens/test_byte_level.py::test_ids_equal_the_trained_tokenizer",
        "tokens/test_sentencepiece.py::test_ids_equal_sentencepiece_on_the_battery",
        "doctor/test_examine.py::test_faults_of_a_gguf_file",
    ),
    "BOS twice or never, templates cut as plain text, one end of several (vLLM #27486)": (
        "tokens/test_chat.py::test_bos_is_neither_doubled_nor_lost",
        "tokens/test_default_model.py::test_a_golden_conversation",
        "decode/test_generate.py::test_ends_at_any_end_token",
    ),
    "the edge between context and continuation, long answers favoured (lm-eval #531, #644)": (
        f"{SCORE}::test_all_continuations_sum_to_one",
        f"{SCORE}::test_score_of_a_whole_is_the_sum_of_its_parts",
        "answer/test_boundary.py::test_an_answer_has_the_same_tokens_wherever_it_stands",
        "answer/test_normalise.py::test_the_mean_favours_long_answers",
    ),
    "layouts of quantised blocks (GPTQModel #3058)": (
        "weights/test_blocks.py::test_bit_equal_in_fp32",
        "weights/test_blocks.py::test_random_bytes_reach_nan_and_infinity",
    ),
    "softmax in few bits, rows of padding, scores that change with the batch (vLLM #42019)": (
        f"{FORWARD}::test_one_row_equals_that_row_among_others",
        "native/test_company.py::test_scores",
        f"{SCORE}::test_company_and_order_do_not_matter",
        "decode/test_sampling.py::test_padded_rows_are_never_chosen",
    ),
    "an adapter's scale, its numbers' type (peft #2489)": (
        "weights/test_adapter.py::test_an_adapter_of_peft_gives_its_logits",
        "weights/test_adapted.py::test_every_tensor",
    ),
    "a norm without its epsilon (x-transformers)": (f"{LLAMA}::test_norm",),
    "two words for a role, code in templates": (
        f"{TEMPLATE}::test_escapes_get_nowhere",
        f"{TEMPLATE}::test_rendering_equals_transformers",
        "cli/test_strange_models.py::test_hostile_template",
    ),
}


def test_every_class_has_its_tests() -> None:
    numbers = [*range(1, 13), "12b", *range(13, 39), 46]
    assert list(CLASSES) == [f"V{number}" for number in numbers]
    for what, tests in (*CLASSES.values(), *PITFALLS.items()):
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
    "ray",  # its cluster for questions in bulk is bound to the loopback interface, as tests/tasks/test_ask_ray.py sees
    "zmq",
    "grpc",
}


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in MODULES
        if path.parent.name != "serve" and path.name not in ("serve.py", "ask_ray.py", "ray_cluster.py")
    ],
    ids=lambda path: path.name,
)
def test_nothing_listens(path: Path) -> None:
    """Puna has no server of tensors, and one of HTTP (serve/); training in several processes goes through torch's own.

    Questions in bulk may go through Ray, whose cluster is of this machine alone unless one is named.
    """
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
