"""Training at sorted random positions: beside Transformers at the same positions, stopped and gone on with."""

import json
from dataclasses import asdict

import pytest
import torch
from transformers import LlamaConfig as HFConfig
from transformers import LlamaForCausalLM

from puna.errors import InputError
from puna.train.checkpoints import Checkpoints
from puna.train.loop import Loop, Watch
from puna.train.network import Network
from puna.train.positions import drawn
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.scratch import Scratch, Sizes, byte_tokenizer
from puna.train.student import Student
from puna.train.trees import Passage, Question, grow
from tests.cli.run import puna

CONFIG = Sizes(32, 2, 2, 1, 48, 256).config(byte_tokenizer())
RECIPE = Recipe(epochs=4, questions=0.5, rate=1e-2, positions_from=200)


def texts() -> list[Passage]:
    draw = torch.Generator().manual_seed(0)
    return [Passage(torch.randint(257, (20,), generator=draw).tolist(), 0, []) for _ in range(6)]


def student() -> Student:
    return Student(Network(Scratch(CONFIG, 1), torch.float32, None), 0)


def trained(folder, recipe, watch=None) -> tuple[Student, bool]:
    folder.mkdir(exist_ok=True)
    ranks = Ranks("cpu")
    mark = {"recipe": asdict(recipe)}
    loop = Loop(student(), texts(), None, recipe, Checkpoints(folder, mark, ranks), ranks)
    ended = loop.run(None, watch or Watch())
    return loop.student, ended


def test_the_loss_of_a_chain_is_that_of_transformers_at_its_positions():
    hf = LlamaForCausalLM(HFConfig(**CONFIG)).eval()
    weights = Scratch(CONFIG, 1)
    hf.load_state_dict({name: weights.tensor(name.replace("lm_head", "model.embed_tokens"), torch.float32)
                        for name in hf.state_dict()})  # fmt: skip
    passage = texts()[0]
    trees = [drawn(grow(passage), 200, f"{n}") for n in range(3)]
    assert len({tuple(tree.positions) for tree in trees}) == 3
    for tree in trees:
        assert all(a < b for a, b in zip(tree.positions, tree.positions[1:], strict=False))
        assert tree.positions[0] >= 0
        assert tree.positions[-1] < 200
        with torch.no_grad():
            ids = torch.tensor([passage.tokens])
            wanted = hf(ids, position_ids=torch.tensor([tree.positions]), labels=ids).loss * 19
            found = student()([tree])["text"]
        assert float(found) == pytest.approx(float(wanted), rel=1e-5)
    assert drawn(grow(passage), 200, "0") == trees[0]


def test_branches_stand_where_one_chain_would():
    tree = grow(
        Passage([1, 2, 3], 0, [Question("a", [4, 5], [[6, 7]], 1, []), Question("b", [8], [[9, 7]], 1, [])])
    )
    found = drawn(tree, 50, "key")
    places = dict(zip(tree.positions, found.positions, strict=True))
    assert [places[depth] for depth in tree.positions] == found.positions  # the same depth, the same position
    assert [places[depth] for depth in sorted(places)] == sorted(places.values())


def test_what_is_stopped_goes_on_with_the_same_positions(tmp_path):
    whole, ended = trained(tmp_path / "whole", RECIPE)
    assert ended
    done = 0

    def count(step, total, record):
        nonlocal done
        done = step

    _, ended = trained(tmp_path / "broken", RECIPE, Watch(count, lambda: done >= 3))
    assert not ended
    broken, ended = trained(tmp_path / "broken", RECIPE)
    assert ended
    counted, _ = trained(tmp_path / "counted", Recipe(epochs=4, questions=0.5, rate=1e-2))
    for name, value in whole.trained().items():
        assert torch.equal(value, broken.trained()[name])
    assert not torch.equal(whole.network.embedding, counted.network.embedding)


def test_checkpoints_from_before_the_option_still_go_on(tmp_path):
    ranks, old = Ranks("cpu"), asdict(Recipe())
    del old["positions_from"]
    model = student()
    optimizer = torch.optim.AdamW(model.trained().values())
    sum(each.sum() for each in model.trained().values()).backward()
    optimizer.step()
    before = Checkpoints(tmp_path, {"recipe": old}, ranks)
    from puna.train.checkpoints import State

    before.save(model.trained(), optimizer, State(step=1))
    assert Checkpoints(tmp_path, {"recipe": asdict(Recipe())}, ranks).check()
    with pytest.raises(InputError) as refused:
        Checkpoints(tmp_path, {"recipe": asdict(RECIPE) | {k: old[k] for k in old}}, ranks).check()
    assert refused.value.code == "E-TRAIN-OTHER"
    assert refused.value.parameters["name"] == "positions_from"


def test_the_command_trains_at_drawn_positions(tmp_path):
    (tmp_path / "learn.txt").write_text("the llama walks over high grass land. " * 40, "utf-8")
    common = ("train", "lm", str(tmp_path / "learn.txt"), "--width", "16", "--layers", "1", "--heads", "1")
    common += ("--length", "64", "--batch", "256", "-o", str(tmp_path / "out"), "--json")
    refused = puna(*common, "--positions-from", "63", PUNA_CACHE=str(tmp_path))
    assert refused.returncode == 2
    assert "--positions-from 63" in refused.stderr
    done = puna(*common, "--positions-from", "2048", PUNA_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert config["max_position_embeddings"] == 2048
    assert '"positions_from": 2048' in "".join(
        path.read_text("utf-8") for path in (tmp_path / "out").glob("*.json")
    )
