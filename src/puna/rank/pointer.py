"""The pointer: s(a) = <q, M_T(t, a)> for every span of a text at once, by one matrix product.

q is the state of a question's last token, M_T(t, a) are the states of a span's first and last tokens, each projected:
s = <Q₁q, K₁hᵢ> + <Q₂q, K₂hⱼ>, and for "not in the text" learned vectors stand in place of K₁h and K₂h. A softmax over
all spans of up to LONGEST tokens, and none, makes probabilities. The projected states of a text are kept with its keys
and values, so a further question costs no reading.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from puna.shapes import Float, Int

LONGEST = 64  # tokens of a span


def span_mass(ends: Float[Tensor, "2 Q N"], nowhere: Float[Tensor, " Q"]) -> Float[Tensor, " Q"]:
    """Log of the sum of e^score over all spans of up to LONGEST tokens, and none.

    `ends`: what each token adds to a span's score as its first token and as its last; `nowhere`: the score of none.
    """
    padded = F.pad(ends[1], (0, LONGEST - 1), value=float("-inf"))
    last = padded.unfold(1, LONGEST, 1).logsumexp(-1)  # over the spans that begin at a token
    return torch.logaddexp((ends[0] + last).logsumexp(-1), nowhere)


@dataclass(frozen=True, slots=True, eq=False)
class Pointer:
    """Projections [2, P, D] of question and text, the vectors [2, P] of no answer; P numbers for first and last each.

    `weight`: how much its opinion counts beside the model's own probability of an answer.
    """

    question: Float[Tensor, "2 P D"]
    text: Float[Tensor, "2 P D"]
    nowhere: Float[Tensor, "2 P"]
    weight: float = 1.0

    @property
    def notes(self) -> Float[Tensor, "N D"]:
        """What a model is to note of each token (`Llama.take_notes`)."""
        return self.text.flatten(0, 1)

    def ends(
        self, question: Float[Tensor, "Q D"], notes: Float[Tensor, "N C"]
    ) -> tuple[Float[Tensor, "2 Q N"], Float[Tensor, " Q"]]:
        """Give what each noted token adds as a span's first and as its last, and the score of none."""
        size = self.question.shape[1]
        asked = torch.einsum("qd,epd->eqp", question, self.question) * size**-0.5
        keys = notes.view(len(notes), 2, size)
        return torch.einsum("eqp,nep->eqn", asked, keys), torch.einsum("eqp,ep->q", asked, self.nowhere)

    def log_probs(
        self, question: Float[Tensor, "1 D"], notes: Float[Tensor, "N C"], spans: Int[Tensor, "M 2"]
    ) -> tuple[Float[Tensor, " M"], float]:
        """Give the weighed log-probability (nats) of spans (their first and last token), and that of none."""
        ends, nowhere = self.ends(question, notes)
        mass = span_mass(ends, nowhere)
        found = ends[0, 0, spans[:, 0]] + ends[1, 0, spans[:, 1]] - mass
        return self.weight * found, self.weight * float(nowhere - mass)
