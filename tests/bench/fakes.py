"""Peers made of a few lines of Python."""

import os
import sys
from pathlib import Path

from puna.bench.worker import Worker

GOOD = """
import json, sys
for line in sys.stdin:
    job = json.loads(line)
    if job["job"] == "start":
        print(json.dumps({"about": "good 1.0"}), flush=True)
        continue
    values = {"read": {"decode_0": 5.0, "prefill_8": 100.0}, "memory": {"peak_memory": 7.0}}
    print(json.dumps({"values": values.get(job["job"], {}), "way": "by hand"}), flush=True)
"""
CRASHES = "import sys\nsys.stdin.readline()\nsys.stderr.write('first\\n  the last straw\\n\\n')\nsys.exit(3)"
DIES_LATER = GOOD.replace("    values =", "    if job['job'] == 'rank': sys.exit('no more')\n    values =")
RUBBISH = "import sys\nsys.stdin.readline()\nprint('Loading\\x1b[31m model', flush=True)\nsys.stdin.read()"
NO_OBJECT = "import sys\nsys.stdin.readline()\nprint('[1]', flush=True)\nsys.stdin.read()"
HANGS = "import time\ntime.sleep(600)"
HANGS_UP = "import os, sys, time\nsys.stdin.close(); os.close(1)\ntime.sleep(0.2)"
FAILS = 'import sys\nsys.stdin.readline()\nprint(\'{"error": "ValueError: odd"}\', flush=True)\nsys.stdin.read()'
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
sys.stdin.readline()
print('{"values": {"pid": %d}}' % child.pid, flush=True)
sys.stdin.read()
"""


def command(folder: Path, source: str) -> list[str]:
    """Write a script and give the command that runs it."""
    path = folder / f"fake_{abs(hash(source))}.py"
    path.write_text(source, "utf-8")
    return [sys.executable, str(path)]


def worker(folder: Path, source: str) -> Worker:
    return Worker(command(folder, source), os.environ)


BUSY = """
import json, sys, threading
count = 0
def turn():
    global count
    while True:
        count += 1
threading.Thread(target=turn, daemon=True).start()
for line in sys.stdin:
    print(json.dumps({"values": {"count": count}}), flush=True)
"""
