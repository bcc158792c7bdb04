"""The source article's reader, embedding + LSTM + linear with cross-entropy and Adam, in a form that can work.

The article embeds question and text, runs an LSTM over each, concatenates what comes out and puts a linear layer on it.
Two things do not hold there:

- The concatenation does not fit: states of a question [N, Q, H] and of a text [N, S, H] have different lengths. Here the
  question's final state is joined to the state of each word of the text, [N, S, 2H], which is what a score for each
  place needs.
- Under a linear layer that is not enough. Its output is w·h(i) + v·q, and v·q is the same for every place i, so the
  softmax over places is the same whatever was asked. Here the LSTM goes from the question on into the text (conditional
  encoding, Rocktäschel et al. 2016), so that h(i) depends on the question. `carried=False` is the article's form.

The LSTM is bidirectional, since a state must know what follows the word too; so 2H is 4H, H for each direction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from puna.lab.lstm_words import PADDING
from puna.shapes import Bool, Float, Int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right. Q and S: words of the longest question (its end with it) and text."""

    questions: Int[Tensor, "N Q"]
    asked: Int[Tensor, " N"]  # words of each question
    texts: Int[Tensor, "N S"]
    lengths: Int[Tensor, " N"]  # words of each text

    @classmethod
    def of(cls, rows: Sequence[tuple[list[int], list[int]]], device: torch.device | str = "cpu") -> "Batch":
        """Pad (question, text) pairs of ids."""
        questions, texts = ([torch.tensor(row[part]) for row in rows] for part in (0, 1))
        sides = [
            (
                pad_sequence(side, batch_first=True, padding_value=PADDING).to(device),
                torch.tensor([len(each) for each in side], device=device),
            )
            for side in (questions, texts)
        ]
        return cls(*sides[0], *sides[1])

    @property
    def mask(self) -> Bool[Tensor, "N S"]:
        """True where a text has a word."""
        return torch.arange(self.texts.shape[1], device=self.texts.device) < self.lengths[:, None]


class Encoder(nn.Module):
    """Embedding and LSTMs: the states of a text's words, and the question's last.

    Padding is read last and looked at by nobody, so a row comes out as it would alone. Torch's packed sequences give the
    same; where their lengths differ, their backward pass on a CPU takes time with the square of the length.
    """

    def __init__(self, vocabulary: int, width: int, hidden: int, *, carried: bool, dropout: float) -> None:
        super().__init__()
        self.carried = carried
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.forwards = nn.LSTM(width, hidden, batch_first=True)
        self.backwards = nn.LSTM(width, hidden, batch_first=True)  # reads texts from their last word on
        self.dropout = nn.Dropout(dropout)

    def encode(self, batch: Batch) -> tuple[Float[Tensor, "N S 2H"], Float[Tensor, "N 2H"], Float[Tensor, "N 2H"]]:
        """Give the state at each word of the texts, the last of each text, and the last of each question.

        Both directions' are joined; each direction has its own last.
        """
        place = torch.arange(batch.texts.shape[1], device=batch.texts.device)
        turned = (batch.lengths[:, None] - 1 - place).clamp(min=0)  # its own inverse on a text's words
        reverse = batch.texts.gather(1, turned).masked_fill(~batch.mask, PADDING)
        ahead, asked = self._states(self.forwards, batch, batch.texts)
        back, asked_too = self._states(self.backwards, batch, reverse)
        back = _picked(back, turned)
        last = torch.cat((_picked(ahead, batch.lengths[:, None] - 1), back[:, :1]), -1)[:, 0]
        return torch.cat((ahead, back), -1), last, torch.cat((asked, asked_too), -1)

    def _states(self, lstm: nn.LSTM, batch: Batch, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Run one LSTM over questions and texts, in one go or each from nothing."""
        place = torch.arange(texts.shape[1], device=texts.device).expand(texts.shape)
        if self.carried:
            place = place + batch.asked[:, None]  # a text begins where its question ends, over the padding there
            joined = F.pad(batch.questions, (0, texts.shape[1]), value=PADDING)
            read = asked = self._run(lstm, joined.scatter(1, place, texts))
        else:
            asked, read = self._run(lstm, batch.questions), self._run(lstm, texts)
        return _picked(read, place), _picked(asked, batch.asked[:, None] - 1)[:, 0]

    def _run(self, lstm: nn.LSTM, ids: Tensor) -> Tensor:
        states: Tensor = lstm(self.dropout(self.embedding(ids)))[0]
        return states


def _picked(states: Float[Tensor, "N S H"], places: Int[Tensor, "N P"]) -> Float[Tensor, "N P H"]:
    """Give each row's states at its places."""
    return states.gather(1, places[..., None].expand(-1, -1, states.shape[2]))


class LstmReader(Encoder):
    """Scores every word of a text as the start and as the end of the answer."""

    def __init__(
        self, vocabulary: int, width: int, hidden: int, *, carried: bool = True, dropout: float = 0.2
    ) -> None:
        super().__init__(vocabulary, width, hidden, carried=carried, dropout=dropout)
        self.linear = nn.Linear(4 * hidden, 2)

    def forward(self, batch: Batch) -> Float[Tensor, "N S 2"]:
        """Give the logits of start and end at each word; -inf where a text has none."""
        states, _, asked = self.encode(batch)
        joined = torch.cat((states, asked[:, None].expand_as(states)), -1)
        logits: Tensor = self.linear(self.dropout(joined))
        return logits.masked_fill(~batch.mask[..., None], float("-inf"))

    def loss(self, batch: Batch, labels: Int[Tensor, "N 2"]) -> Float[Tensor, ""]:
        """Give -log P(start) - log P(end), nats, the mean over rows; `labels` are the answer's first and last word."""
        logits = self(batch)
        return F.cross_entropy(logits[..., 0], labels[:, 0]) + F.cross_entropy(logits[..., 1], labels[:, 1])

    @torch.inference_mode()
    def answer(self, batch: Batch, longest: int) -> list[tuple[int, int]]:
        """Give each text's most probable span of at most so many words, as its first and last word."""
        found = []
        for logits, length in zip(self(batch), batch.lengths.tolist(), strict=True):
            starts, ends = logits[:length].unbind(1)
            both = starts[:, None] + ends
            band = torch.ones_like(both, dtype=torch.bool).triu().tril(longest - 1)
            best = int(both.masked_fill(~band, float("-inf")).argmax())
            found.append(divmod(best, length))
        return found


class LstmClassifier(Encoder):
    """The article's scoring of candidates: answers known before are classes, scored from the two last states joined."""

    def __init__(self, vocabulary: int, width: int, hidden: int, classes: int, *, dropout: float = 0.2) -> None:
        super().__init__(vocabulary, width, hidden, carried=False, dropout=dropout)
        self.linear = nn.Linear(4 * hidden, classes)

    def forward(self, batch: Batch) -> Float[Tensor, "N C"]:
        """Give the logits of the classes."""
        _, last, asked = self.encode(batch)
        logits: Tensor = self.linear(self.dropout(torch.cat((last, asked), -1)))
        return logits

    def loss(self, batch: Batch, labels: Int[Tensor, "N 1"]) -> Float[Tensor, ""]:
        """Give -log P(class), nats, the mean over rows."""
        return F.cross_entropy(self(batch), labels[:, 0])
