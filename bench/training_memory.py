"""Does training's memory stay bounded? Steps of ever changing shapes, with the process's size now and then.

    python bench/training_memory.py [--steps 300] [--model MODEL]

Prints steps, tokens of the step, and the resident memory in MB; ends with the growth from the first third, by which
every shape has been met, to the end.
"""

import argparse
import os
import random
import tempfile
from pathlib import Path

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")  # as `puna train` has it

import torch

from puna.llama.linear import default_dtype
from puna.train.checkpoints import Checkpoints
from puna.train.loop import Loop, Watch
from puna.train.network import LoRA, Network
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.session import Base
from puna.train.student import Student
from puna.train.trees import Passage, Question


def resident() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def shapes(count: int, vocab: int, longest: int) -> list[Passage]:
    draw = random.Random(0)

    def some(size: int) -> list[int]:
        return [draw.randrange(vocab) for _ in range(size)]

    found = []
    for _ in range(count):
        size = draw.randint(10, longest)
        asked = [
            Question(str(n), some(draw.randint(3, 40)), [some(draw.randint(2, 12))], 1, [(2, 5)])
            for n in range(draw.randint(1, 8))
        ]
        found.append(Passage(some(size), 1, asked))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--longest", type=int, default=900, help="tokens of a text at most")
    parser.add_argument("--model")
    given = parser.parse_args()
    base = Base.opened(given.model)
    student = Student(Network(base.weights, default_dtype(), LoRA(32, 32.0)), 0)
    passages = shapes(given.steps, student.network.config.vocab_size, given.longest)
    recipe = Recipe(epochs=1, questions=1, tokens=2048)
    sizes: list[int] = []

    def report(done: int, total: int, record: dict) -> None:
        sizes.append(resident())
        if done % max(1, total // 20) == 0:
            print(f"{done:6} {record['tokens']:6} {sizes[-1]:7} MB", flush=True)

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        ranks = Ranks("cpu")
        Loop(student, passages, None, recipe, Checkpoints(Path(folder), {}, ranks), ranks).run(None, Watch(report))
    third = max(sizes[: len(sizes) // 3])
    print(f"growth after the first third: {max(sizes) - third:+} MB on {third} MB")


if __name__ == "__main__":
    main()
