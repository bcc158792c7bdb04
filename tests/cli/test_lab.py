"""`puna lab`: lists, runs, is stopped and goes on."""

import json
import os
import signal
import subprocess
import sys

from puna.lab.studies import STUDIES
from tests.cli.run import puna
from tests.lab.data import write_data


def test_without_a_name_it_lists_the_studies():
    done = puna("lab")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name, known in STUDIES.items():
        assert any(line.split(maxsplit=1)[:1] == [name] and known.en in line for line in lines)
    assert json.loads(puna("lab", "--json", PUNA_LANG="zh").stdout) == {
        "studies": {name: known.zh for name, known in STUDIES.items()}
    }


def test_bad_input_is_refused(tmp_path):
    for arguments, code in (
        (["nothing"], "E-LAB-UNKNOWN"),
        (["convergence", "--data", str(tmp_path)], "E-LAB-FILE"),
        (["convergence"], "E-LAB-DATA"),
        (["convergence", "--model", "x"], "E-USAGE"),
        (["convergence", "--size", "tiny"], "E-USAGE"),
    ):
        done = puna("lab", *arguments, "-o", str(tmp_path / "out"), PUNA_DATA="")
        assert done.returncode == 2
        assert code in done.stderr
        assert "Traceback" not in done.stderr


# The command at a size for tests, and a line of output for each piece as soon as it is there.
TINY = """
import sys
from puna.lab import convergence, positions
for module in (convergence, positions):
    module._SCALES["small"] = module._SCALES["tiny"]
from puna.cli.main import main
main(sys.argv[1:])
"""


def start(*arguments):
    environment = {**os.environ, "PUNA_LANG": "en", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", TINY, "lab", *arguments], stdout=pipe, stderr=pipe, text=True, env=environment
    )


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path):
    data, out = write_data(tmp_path / "data"), tmp_path / "out"
    command = ("positions", "--data", str(data), "-o", str(out), "--seeds", "2")
    first = start(*command)
    line = first.stderr.readline()
    assert line.startswith("1/40 job=copy positions=rotary seed=0")
    first.send_signal(signal.SIGINT)
    _, said = first.communicate()
    assert first.returncode == 130
    assert "goes on" in said
    finished = (out / "positions.pieces.jsonl").read_bytes()
    assert finished.count(b"\n") >= 1
    assert not (out / "positions.json").exists()
    second = start(*command, "--json")
    shown, said = second.communicate()
    assert second.returncode == 0, said
    assert (out / "positions.pieces.jsonl").read_bytes().startswith(finished)
    found = json.loads(shown)
    assert found == json.loads((out / "positions.json").read_text("utf-8"))
    assert {"study", "setting", "machine", "versions", "pieces", "summary"} == found.keys()
    assert len(found["pieces"]) == 40
    assert said.count("\n") >= 40
    third = start(*command)
    table, _ = third.communicate()
    assert third.returncode == 0
    assert sum("reverse" in row for row in table.splitlines()) == 5


def test_without_matplotlib_results_are_written(tmp_path):
    data, out = write_data(tmp_path / "data"), tmp_path / "out"
    code = "import sys, importlib.util as u\nfind = u.find_spec\n"
    code += "u.find_spec = lambda name, *rest: None if name == 'matplotlib' else find(name, *rest)\n"
    command = ["lab", "positions", "--data", str(data), "-o", str(out), "--seeds", "1"]
    done = subprocess.run(
        [sys.executable, "-c", code + TINY, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PUNA_LANG": "en", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "pip install matplotlib" in done.stderr
    assert (out / "positions.json").exists()
    assert not (out / "positions.png").exists()
