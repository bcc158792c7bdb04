"""Training a language model on plain text: one that is there, or a new one."""

from collections.abc import Sequence
from pathlib import Path

from puna.errors import InputError
from puna.train.chains import SHARE, TextExam, chains, documents, hold_back_chains
from puna.train.loop import Loop, Watch
from puna.train.session import Session, digest_of_data
from puna.train.trees import Passage


def train_lm(
    session: Session, paths: Sequence[Path], valid: Sequence[Path], length: int, watch: Watch
) -> Loop | None:
    """Train on the texts of files, in chains of `length` tokens, and write the result; None where it was stopped.

    Without files of their own, some chains are held back. Raises InputError where there is no text.
    """
    learned, held = (_read(session, files, length) for files in (paths, valid))
    texts, others = hold_back_chains(learned, session.order.recipe.seed, 0.0 if valid else SHARE)
    exam = [*others, *(chain for each in held for chain in each)]
    if not texts:
        raise InputError("E-TRAIN-TEXT", files=", ".join(map(str, paths)))
    data = {
        "tokens": sum(len(chain.tokens) - 1 for chain in texts),
        "length": length,
        "data": digest_of_data([chain.tokens for chain in (*texts, *exam)]),
    }
    examine = TextExam(exam, session.base.tokenizer, session.order.recipe) if exam else None
    return session.train(texts, examine, data, watch)


def _read(session: Session, paths: Sequence[Path], length: int) -> list[list[Passage]]:
    size = min(length, session.context)
    every = (chains(text, session.base.tokenizer, size) for text in documents(paths))
    return [found for found in every if found]
