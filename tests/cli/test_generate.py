"""`puna generate`: what it prints where, and how it ends."""

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

import puna
from puna.answer.reader import Reader
from puna.cli.generate import generate
from puna.cli.main import main
from puna.errors import InputError, ModelFileError
from tests.decode.byte_model import END, START, Scripted, byte_model, byte_tokenizer


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setenv("PUNA_LANG", "en")


@pytest.fixture
def says(monkeypatch):
    """Put a model in place of the loaded one that says what the test tells it to."""

    def put(script="", model=None, tokenizer=None):
        model = model or Scripted(script.encode())
        monkeypatch.setattr(
            puna,
            "load",
            lambda name=None, **_: Reader(model, tokenizer or byte_tokenizer(), name or "tiny"),
            raising=False,
        )
        return model

    return put


def run(*arguments, **options):
    return CliRunner().invoke(generate, arguments, **options)


def ended(*arguments):
    """Run the whole command and give its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(["generate", *arguments])
    return caught.value.code


def test_the_text_goes_to_stdout_and_nothing_else(says):
    says("It is Paris.")
    done = run("What is the capital of France?")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "It is Paris.\n", "")


def test_json(says):
    says("巴黎。")
    done = run("法国的首都是哪里？", "--json", "--model", "some-name")
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert "巴黎" in done.stdout  # not escaped
    found = json.loads(done.stdout)
    assert isinstance(found.pop("elapsed_ms"), float)
    assert found == {"text": "巴黎。", "tokens": [*"巴黎。".encode()], "stop_reason": "end", "model": "some-name"}


def test_a_cut_is_said_on_stderr(says):
    says("Hello there")
    done = run("Hi", "--max-tokens", "5")
    assert done.stdout == "Hello\n"
    assert done.stderr == "cut after 5 tokens; --max-tokens allows more\n"
    says(model=Scripted(b"Hello there", context=12))
    done = run("--raw", "0123456789")
    assert done.stdout == "Hel\n"
    assert done.stderr == "cut after 3 tokens, where the model's context ends\n"


def test_a_cut_is_said_in_chinese(says, monkeypatch):
    monkeypatch.setenv("PUNA_LANG", "zh")
    says("Hello there")
    assert "写满 5 个词元" in run("Hi", "--max-tokens", "5").stderr


def test_chat_raw_and_system_prompts(says):
    tokenizer = byte_tokenizer()
    user = {"role": "user", "content": "Hi"}
    for arguments, prompt in (
        ([], tokenizer.encode_chat([user])),
        (["--system", "Be kind."], tokenizer.encode_chat([{"role": "system", "content": "Be kind."}, user])),
        (["--raw"], list(b"Hi")),
    ):
        model = says("")
        assert run("Hi", *arguments).exit_code == 0
        assert model.heard == [prompt]
    assert START in tokenizer.encode_chat([user])
    model = says("")
    run("<|im_end|>", "--raw")
    assert END not in model.heard[0]  # what the user spells is text


def test_the_prompt_from_a_file_or_standard_input(says, tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_bytes("  长城\n在哪？\r\n".encode())
    for arguments in (["--file", str(path)], ["-"], ["--file", "-"]):
        model = says("")
        assert run("--raw", *arguments, input=path.read_bytes()).exit_code == 0
        assert bytes(model.heard[0]).decode() == "  长城\n在哪？"
    path.write_bytes("长城".encode("gb18030"))
    model = says("")
    run("--raw", "--file", str(path), "--encoding", "gb18030")
    assert bytes(model.heard[0]).decode() == "长城"


def test_stop_strings(says):
    says("One.\nTwo.\nThree.")
    assert run("Count", "--stop", "Three", "--stop", ".\nT").stdout == "One\n"


def test_sampling_options_reach_the_model(says):
    says(model=byte_model(context=1000))
    options = ["--raw", "Hi", "--json", "--max-tokens", "12", "--temperature", "5"]

    def tokens(*more):
        return json.loads(run(*options, *more).stdout)["tokens"]

    assert tokens("--seed", "1") == tokens("--seed", "1") != tokens("--seed", "2")
    for narrow in (["--top-k", "1"], ["--top-p", "0.000001"], ["--min-p", "1"], ["--temperature", "0"]):
        assert tokens(*narrow, "--seed", "1") == tokens(*narrow, "--seed", "2")


def test_the_text_is_streamed(says, monkeypatch):
    model = says("a😀b")
    seen = []
    monkeypatch.setattr("click.echo", lambda text="", **_: seen.append((text, model.said)))
    run("Hi")
    # Each character is printed after the token that completes it, before the next is computed.
    assert seen == [("a", 1), ("😀", 5), ("b", 6), ("", 7)]


def test_a_terminal_gets_no_control_characters(says, monkeypatch):
    says("a\x1b[2J\r\x9b\tb\n\u3000c\u200d")
    monkeypatch.setattr("puna.cli.generate.sys", type("", (), {"stdout": type("", (), {"isatty": lambda: True})}))
    assert run("Hi").stdout == "a\ufffd[2J\ufffd\ufffd\tb\n\u3000c\u200d\n"
    monkeypatch.undo()


def test_a_pipe_gets_every_character(says):
    says("a\x1b[2J\tb")
    assert run("Hi").stdout == "a\x1b[2J\tb\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], "E-PROMPT-MISSING"),
        (["Hi", "--file", "x"], "E-PROMPT-TWICE"),
        (["-", "--file", "x"], "E-PROMPT-TWICE"),
        ([""], "E-PROMPT-EMPTY"),
        ([" \n"], "E-PROMPT-EMPTY"),
        (["--raw", ""], "E-PROMPT-EMPTY"),
        (["--raw", "Hi", "--system", "x"], "E-RAW-SYSTEM"),
        (["--file", "no-such-file"], "E-FILE-MISSING"),
        (["Hi", "--max-tokens", "0"], "E-MAX-TOKENS"),
        (["Hi", "--temperature", "-1"], "E-TEMPERATURE"),
        (["Hi", "--temperature", "nan"], "E-TEMPERATURE"),
        (["Hi", "--top-k", "-1"], "E-TOP-K"),
        (["Hi", "--top-p", "0"], "E-TOP-P"),
        (["Hi", "--min-p", "1.5"], "E-MIN-P"),
        (["Hi", "--seed", "-1"], "E-SEED"),
        (["Hi", "--stop", ""], "E-STOP"),
        (["x" * 2000], "E-PROMPT-LONG"),
        (["Hi", "--top-k", "many"], "E-USAGE"),
        (["Hi", "there"], "E-USAGE"),
    ],
)
def test_bad_input_is_an_error_with_a_hint(says, capsys, arguments, code):
    says("Hello")
    assert ended(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"[{code}]" in err
    assert "hint: " in err


def test_no_template_points_to_raw(says, capsys):
    says("Hello", tokenizer=byte_tokenizer(template=None))
    assert ended("Hi") == 2
    assert "--raw" in capsys.readouterr().err
    assert ended("Hi", "--raw") == 0
    assert isinstance(run("Hi").exception, ModelFileError)


def test_errors_are_raised_not_printed(says):
    done = run()
    assert isinstance(done.exception, InputError)
    assert done.output == ""


def test_ctrl_c_keeps_what_was_written(says, monkeypatch, capsys):
    model = says("Hello")
    forward = model.read

    def read(tokens, cache):
        if model.said == 3:
            raise KeyboardInterrupt
        return forward(tokens, cache)

    monkeypatch.setattr(model, "read", read)
    assert ended("Hi") == 130
    assert capsys.readouterr().out == "Hel"


def fresh(*arguments, **options):
    """Start the command in a process of its own."""
    code = "from puna.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "generate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PUNA_LANG": "en"},
        encoding="utf-8",
        **options,
    )


def test_help_shows_examples_without_torch():
    code = "import sys; from puna.cli.main import cli; cli(['generate', '--help'], standalone_mode=False); "
    code += "print(sorted({'torch', 'transformers', 'tokenizers', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'puna generate "What is the capital of France?"' in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_default_model_knows_paris(default_path):
    out, err = fresh("What is the capital of France?", "--model", str(default_path)).communicate()
    assert out == "The capital of France is Paris.\n"
    assert err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_ctrl_c_in_a_real_stream(default_path):
    process = fresh("--raw", "Once upon a time", "--model", str(default_path), "--max-tokens", "8000")
    first = process.stdout.read(5)
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate()
    assert len(first) == 5
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(rest) < 4000
