"""The LSTM reader against the formulas of an LSTM and of cross-entropy, row by row, without torch's own."""

import math
import random
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence, unpack_sequence

from puna.lab.lstm import Batch, LstmClassifier, LstmReader
from puna.lab.lstm_training import Course, Example, batches, learn, loss_of
from puna.lab.lstm_words import END, PADDING, UNKNOWN, Vocabulary, words

H, WIDTH, WORDS = 5, 4, 30


def rows(count, seed=0):
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        question = [draw.randrange(3, WORDS) for _ in range(draw.randrange(1, 6))] + [END]
        text = [draw.randrange(1, WORDS) for _ in range(draw.randrange(1, 14))]
        start = draw.randrange(len(text))
        made.append(Example(question, text, (start, draw.randrange(start, len(text)))))
    return made


def reader(**options):
    torch.manual_seed(0)
    return LstmReader(WORDS, WIDTH, H, **options).eval()


def direction(model, ids, lstm, state):
    """Hochreiter and Schmidhuber 1997 with a forget gate, one word after the other, in float64."""
    w_in, w_state, b_in, b_state = (
        getattr(lstm, f"{name}_l0").double() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h, c = state or (torch.zeros(H, dtype=torch.float64), torch.zeros(H, dtype=torch.float64))
    states = []
    for number in ids:
        gates = w_in @ model.embedding.weight[number].double() + b_in + w_state @ h + b_state
        let_in, forget, cell, out = gates.split(H)
        c = torch.sigmoid(forget) * c + torch.sigmoid(let_in) * torch.tanh(cell)
        h = torch.sigmoid(out) * torch.tanh(c)
        states.append(h)
    return states, (h, c)


def expected(model, example):
    """Logits [S, 2] of one row, alone."""
    states, asked = [], []
    for lstm, turn in ((model.forwards, 1), (model.backwards, -1)):
        _, last = direction(model, example.question, lstm, None)
        found, _ = direction(model, example.text[::turn], lstm, last if model.carried else None)
        states.append(torch.stack(found[::turn]))
        asked.append(last[0])
    weight, bias = model.linear.weight.double(), model.linear.bias.double()
    joined = [torch.cat((*pair, *asked)) for pair in zip(*states, strict=True)]
    return torch.stack([weight @ each + bias for each in joined])


@pytest.mark.parametrize("carried", [True, False])
@torch.no_grad()
def test_logits_and_loss_equal_the_formulas_row_by_row(carried):
    model, examples = reader(carried=carried), rows(7)
    batch = Batch.of([each.pair for each in examples])
    logits = model(batch)
    assert logits.shape == (7, max(len(each.text) for each in examples), 2)
    losses = []
    for each, found in zip(examples, logits, strict=True):
        wanted = expected(model, each)
        torch.testing.assert_close(found[: len(each.text)].double(), wanted, atol=1e-5, rtol=1e-5)
        assert (found[len(each.text) :] == -math.inf).all()
        exp = wanted.exp()
        losses.append(-sum(math.log(exp[label, n] / exp[:, n].sum()) for n, label in enumerate(each.labels)))
    labels = torch.tensor([each.labels for each in examples])
    assert float(model.loss(batch, labels)) == pytest.approx(sum(losses) / len(losses), abs=1e-5)
    assert loss_of(model, examples, rows=3) == pytest.approx(sum(losses) / len(losses), abs=1e-5)


@torch.no_grad()
def test_a_row_in_company_is_the_row_alone():
    model, examples = reader(), rows(9, seed=1)
    together = model(Batch.of([each.pair for each in examples]))
    for each, found in zip(examples, together, strict=True):
        alone = model(Batch.of([each.pair]))[0]
        torch.testing.assert_close(found[: len(each.text)], alone, atol=1e-6, rtol=1e-5)


def test_values_and_gradients_are_those_of_packed_sequences():
    """Torch's own way to keep padding out, one LSTM after the other."""
    model, examples = reader(), rows(9, seed=6)
    batch = Batch.of([each.pair for each in examples])

    def packed(ids, lengths):
        return pack_padded_sequence(model.embedding(ids), lengths, batch_first=True, enforce_sorted=False)

    halves, ends = [], []
    for lstm, turn in ((model.forwards, 1), (model.backwards, -1)):
        turned = pad_sequence([torch.tensor(each.text[::turn]) for each in examples], batch_first=True)
        _, state = lstm(packed(batch.questions, batch.asked))
        states = unpack_sequence(lstm(packed(turned, batch.lengths), state)[0])
        halves.append([each.flip(0) if turn < 0 else each for each in states])
        ends.append(state[0][0])
    asked = torch.cat(ends, 1)
    labels = torch.tensor([each.labels for each in examples])
    loss = 0.0
    for n, pair in enumerate(zip(*halves, strict=True)):
        joined = torch.cat((*pair, asked[n].expand(len(pair[0]), -1)), 1)
        loss = loss + cross_entropy(model.linear(joined).T, labels[n], reduction="sum") / len(examples)
    wanted = torch.autograd.grad(loss, list(model.parameters()))
    found = torch.autograd.grad(ours := model.loss(batch, labels), list(model.parameters()))
    torch.testing.assert_close(ours, loss)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


@torch.no_grad()
def test_states_only_concatenated_cannot_tell_questions_apart():
    example, other = rows(2, seed=2)
    for carried in (False, True):
        model = reader(carried=carried)
        one, two = (
            model(Batch.of([(question, example.text)]))[0] for question in (example.question, other.question)
        )
        same = torch.allclose(one.log_softmax(0), two.log_softmax(0), atol=1e-6)
        assert same is not carried
        assert not torch.equal(one, two)  # the question moves all places' scores alike


@torch.no_grad()
def test_the_answer_is_the_best_of_all_spans():
    model, examples = reader(), rows(12, seed=3)
    for longest in (1, 3, 50):
        found = model.answer(Batch.of([each.pair for each in examples]), longest)
        for each, span in zip(examples, found, strict=True):
            logits = expected(model, each)
            size = len(each.text)
            spans = [(a, b) for a in range(size) for b in range(a, min(a + longest, size))]
            assert span == max(spans, key=lambda ab: float(logits[ab[0], 0] + logits[ab[1], 1]))


@torch.no_grad()
def test_classes_are_scored_from_the_last_states():
    torch.manual_seed(0)
    model = LstmClassifier(WORDS, WIDTH, H, 6).eval()
    examples = rows(5, seed=4)
    found = model(Batch.of([each.pair for each in examples]))
    for each, logits in zip(examples, found, strict=True):
        last = [
            direction(model, ids, lstm, None)[1][0]
            for ids, lstm in (
                (each.text, model.forwards),
                (each.text[::-1], model.backwards),
                (each.question, model.forwards),
                (each.question, model.backwards),
            )
        ]
        wanted = model.linear.weight.double() @ torch.cat(last) + model.linear.bias.double()
        torch.testing.assert_close(logits.double(), wanted, atol=1e-5, rtol=1e-5)


def test_every_example_once_and_like_lengths_together():
    examples = rows(50, seed=5)
    for draw in (None, random.Random(0)):
        found = batches(examples, 8, draw)
        assert sorted(map(id, (each for part in found for each in part))) == sorted(map(id, examples))
        assert max(map(len, found)) == 8
    ordered = batches(examples, 8, None)
    sizes = [[len(each.question) + len(each.text) for each in part] for part in ordered]
    assert all(max(a) <= min(b) for a, b in pairwise(sizes))


def test_training_learns_eight_rows_by_heart():
    """Each text is asked two questions with different answers, so that it takes the question to be right."""
    draw, examples = random.Random(7), []
    for _ in range(4):
        text = draw.sample(range(5, WORDS), 9)
        for question, place in ((3, draw.randrange(0, 4)), (4, draw.randrange(5, 9))):
            examples.append(Example([question, END], text, (place, place)))
    for carried, right in ((True, 8), (False, 4)):
        torch.manual_seed(1)
        model = LstmReader(WORDS, 16, 24, carried=carried, dropout=0.0)
        history = learn(model, examples, examples, Course(150, rows=4, rate=0.01, patience=150), seed=0)
        answers = model.answer(Batch.of([each.pair for each in examples]), 5)
        found = sum(answer == each.labels for answer, each in zip(answers, examples, strict=True))
        assert found == 8 if carried else found <= right
        best = min(epoch["valid"] for epoch in history)
        assert loss_of(model, examples, 4) == pytest.approx(best, rel=1e-4)


def test_training_stops_when_validation_no_longer_improves():
    train, valid = rows(8, seed=8), rows(8, seed=9)
    torch.manual_seed(0)
    model = LstmReader(WORDS, 16, 24, dropout=0.0)
    history = learn(model, train, valid, Course(200, rows=4, rate=0.02, patience=3), seed=0)
    losses = [epoch["valid"] for epoch in history]
    assert len(losses) == losses.index(min(losses)) + 4 < 200
    assert loss_of(model, valid, 8) == pytest.approx(min(losses), rel=1e-4)


def test_words_have_places_and_unknown_ones_an_id():
    text = "Ann's 2,000 walks，长江很长 x_y"
    found = words(text)
    assert [text[start:end].lower() for _, start, end in found] == [word for word, _, _ in found]
    assert [word for word, _, _ in found] == "ann ' s 2 , 000 walks ， 长 江 很 长 x _ y".split()
    vocabulary = Vocabulary(["a a b b b c", "c d"], most=2)
    ids = [vocabulary.text(word)[0] for word in "bacd"]
    assert len(vocabulary) == 5
    assert len(set(ids[:2])) == 2
    assert PADDING not in ids
    assert ids[2] in (UNKNOWN, *ids[:2])
    assert ids[3] == UNKNOWN
    assert vocabulary.question("b d") == [ids[0], UNKNOWN, END]
