"""The loop of every training: steps of several forwards, validation, checkpoints, the best at the end."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from puna.errors import InputError
from puna.train.checkpoints import Checkpoints
from puna.train.journal import Journal
from puna.train.positions import drawn
from puna.train.ranks import Ranks, whole
from puna.train.recipe import Recipe
from puna.train.student import Student
from puna.train.trees import WORDS, Passage, Tree, grow, parts, steps

_BETAS = (0.9, 0.98)


class Examiner(Protocol):
    """What is asked now and then on what is not learned from; less `loss` is better."""

    def __call__(self, student: Student) -> dict[str, float]:
        """Give the figures, `loss` among them."""
        ...


@dataclass(frozen=True)
class Watch:
    """What a training tells as it goes, and what tells it to stop."""

    report: Callable[[int, int, dict[str, Any]], None] = lambda done, total, record: None
    stop: Callable[[], bool] = lambda: False
    save_every: int = 0  # steps; 0 for `minutes`
    minutes: float = 10.0


class DivergedError(Exception):
    """Loss or gradient is no longer a number at `step`."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def plan(passages: Sequence[Passage], recipe: Recipe) -> list[list[int]]:
    """Give the passages of every step; the last epoch may be a part of one."""
    found: list[list[int]] = []
    for epoch in range(math.ceil(recipe.epochs)):
        every = steps(passages, recipe.questions, recipe.seed, epoch)
        found += every[: max(1, round(min(1.0, recipe.epochs - epoch) * len(every)))]
    return found


class Loop:
    """A student, what it learns, how, and where it is kept."""

    def __init__(
        self,
        student: Student,
        passages: Sequence[Passage],
        examine: Examiner | None,
        recipe: Recipe,
        checkpoints: Checkpoints,
        ranks: Ranks,
    ) -> None:
        self.student, self.passages, self.examine, self.recipe = student, passages, examine, recipe
        self.plan = plan(passages, recipe)
        self._checkpoints, self._ranks = checkpoints, ranks
        self._trained = student.trained()
        self._optimizer = torch.optim.AdamW(
            self._trained.values(), lr=recipe.rate, betas=_BETAS, weight_decay=recipe.decay, fused=True
        )
        self.state = checkpoints.restore(self._trained, self._optimizer)
        student.network.changed()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        patience = self.recipe.patience
        return self.state.step >= len(self.plan) or (patience > 0 and self.state.since >= patience)

    def run(self, journal: Journal | None, watch: Watch) -> bool:
        """Train to the end, and take the best; or until `stop`, which keeps a checkpoint and gives False.

        Raises DivergedError where a number is no longer one, InputError where a checkpoint cannot be written.
        """
        begun = not self.ended
        total = len(self.plan)
        every = max(1, round(total / max(1.0, self.recipe.epochs * self.recipe.validations)))
        saved = time.monotonic()
        while not self.ended:
            began = time.perf_counter()
            record = self._step(watch.stop)
            if record is None:
                if self.state.step:
                    self._save()
                return False
            self.state.step += 1
            step = self.state.step
            seconds = time.perf_counter() - began
            record = {"step": step, **record, "seconds": round(seconds, 3)}
            if journal:
                journal.add(record)
            watch.report(step, total, record)
            if self.examine and (step % every == 0 or step == total):
                self._validate(self.examine, journal)
            due = step % watch.save_every == 0 if watch.save_every else self._late(saved, watch)
            if due and not self.ended:
                self._save()
                saved = time.monotonic()
        if begun:  # should the result not be written, nothing is lost; without room for both it may still be
            with suppress(InputError):
                self._save()
        if self.state.best_step:
            self._checkpoints.restore_best(self._trained)
            self.student.network.changed()
        return True

    def go_back(self) -> bool:
        """Take the best for what is trained, else what the last checkpoint has; tell whether there was either."""
        if self.state.best_step:
            self._checkpoints.restore_best(self._trained)
            self.state.step = self.state.best_step
        else:
            self.state = self._checkpoints.restore(self._trained, self._optimizer)
        self.student.network.changed()
        return self.state.step > 0

    def _late(self, saved: float, watch: Watch) -> bool:
        """Whether a checkpoint is due by the first process's clock."""
        return self._ranks.any(self._ranks.first and time.monotonic() - saved > 60 * watch.minutes)

    def _step(self, stop: Callable[[], bool]) -> dict[str, Any] | None:
        """Take the next step; None where it was to stop before its end, and nothing has changed then."""
        recipe, step = self.recipe, self.state.step
        trees = [grow(self.passages[index]) for index in self.plan[step]]
        if recipe.positions_from is not None:
            key = f"{recipe.seed} {step}"
            trees = [drawn(tree, recipe.positions_from, f"{key} {n}") for n, tree in enumerate(trees)]
        units = sum(tree.passage.units for tree in trees)
        sums = dict.fromkeys(recipe.weights, 0.0)
        for share, mine in self._shares(trees):
            if self._ranks.any(stop()):
                self._optimizer.zero_grad()
                return None
            found = self.student(share)
            loss = sum((weight * found[name] for name, weight in recipe.weights.items()), torch.tensor(0.0))
            (loss * (mine * self._ranks.world / units)).backward()  # gradients are averaged over the processes
            for name in sums:
                sums[name] += mine * float(found[name].detach())
        figures = summary(dict(zip(sums, self._ranks.sum(list(sums.values())), strict=True)), trees, recipe)
        norm = self._norm()
        if not math.isfinite(figures["loss"]) or not math.isfinite(norm):
            raise DivergedError(step + 1)
        rate = recipe.rate_at(step, len(self.plan))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.student.network.changed()
        tokens = sum(len(tree.tokens) for tree in trees)
        return {**figures, "norm": norm, "rate": rate, "tokens": tokens}

    def _shares(self, trees: Sequence[Tree]) -> Iterator[tuple[list[Tree], float]]:
        """Cut a step into this process's forwards, as many as any other's: one that counts 0 where it has no more."""
        sizes = [len(tree.tokens) for tree in trees]
        world = self._ranks.world
        cut = parts(sizes, min(self.recipe.tokens, -(-sum(sizes) // world)))
        for start in range(0, len(cut), world):
            mine = start + self._ranks.rank
            if mine < len(cut):
                yield [trees[index] for index in cut[mine]], 1.0
            else:
                yield [min(trees, key=lambda tree: len(tree.tokens))], 0.0

    def _norm(self) -> float:
        """Length of the gradient, which is cut to the recipe's."""
        most = self.recipe.clip or math.inf
        return float(whole(torch.nn.utils.clip_grad_norm_(self._trained.values(), most)))

    def _validate(self, examine: Examiner, journal: Journal | None) -> None:
        figures = examine(self.student)
        state = self.state
        if math.isfinite(figures["loss"]) and (state.best is None or figures["loss"] < state.best):
            state.best, state.best_step, state.since, state.figures = figures["loss"], state.step, 0, figures
            self._checkpoints.save_best(self._trained, state)
        else:
            state.since += 1
        if journal:
            journal.add({"step": state.step, "valid": figures})

    def _save(self) -> None:
        self._checkpoints.save(self._trained, self._optimizer, self.state)


def summary(sums: Mapping[str, float], trees: Sequence[Tree], recipe: Recipe) -> dict[str, float]:
    """Give the loss of a unit, and each of its parts for a question or a token of text."""
    questions = sum(len(tree.ends) for tree in trees)
    units = sum(tree.passage.units for tree in trees)
    counts = {name: WORDS * (units - questions) if name == "text" else questions for name in sums}
    every = sum(weight * sums[name] for name, weight in recipe.weights.items())
    told = [name for name, weight in recipe.weights.items() if weight and counts[name]]
    return {"loss": every / units, **{name: sums[name] / counts[name] for name in told}}
