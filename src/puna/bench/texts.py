"""Made-up text to read: as many tokens as wanted, another one for every seed, so that no engine has read it before."""

import random

from puna.tokens.tokenizer import Tokenizer

_GIVEN = (
    "Astrid Bram Chiara Dmitri Elif Farid Greta Hamish Ingrid Joaquin Keiko Lars Mirela Nuno Oksana Priya".split()
)
_FAMILY = "Abara Bellini Castell Dvorak Eklund Ferreira Grimaldi Halvorsen Ivanova Jansen Kowal Lindqvist".split()
_PLACES = (
    "Aarhus Bilbao Cork Dresden Evora Ghent Hobart Izmir Kyoto Leeds Malmo Nantes Oslo Porto Quito Riga".split()
)
_THINGS = "harbour library bridge museum railway garden theatre lighthouse market school canal archive".split()
_DEEDS = (
    "{name} came to {place} in {year} to work on the {thing}.",
    "In {year} the {thing} of {place} was rebuilt by {name}, who had drawn the plans years before.",
    "Nobody in {place} had expected that {name} would leave the {thing} to the town in {year}.",
    "The {thing} stood near the river, and {name} wrote in {year} that it was the finest in {place}.",
    "After the winter of {year}, {name} was asked to look after the {thing} in {place}.",
)
_ASKED = ("Who came to {place} in {year}?", "Who looked after the {thing} of {place}?")


class Made:
    """Text, names and questions of one seed."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311  nothing secret

    def sentence(self) -> str:
        """Give a sentence."""
        return self._filled(self._draw.choice(_DEEDS))

    def questions(self) -> list[str]:
        """Give two questions."""
        return [self._filled(each) for each in _ASKED]

    def names(self, number: int) -> list[str]:
        """Give different names of a few tokens each."""
        every = [f"{given} {family}" for given in _GIVEN for family in _FAMILY]
        return self._draw.sample(every, number)

    def _filled(self, form: str) -> str:
        draw = self._draw
        name = f"{draw.choice(_GIVEN)} {draw.choice(_FAMILY)}"
        place, thing = draw.choice(_PLACES), draw.choice(_THINGS)
        return form.format(name=name, place=place, thing=thing, year=draw.randint(1700, 1999))


def text_of(made: Made, tokenizer: Tokenizer, tokens: int) -> str:
    """Give whole sentences, as many as stay within so many tokens."""
    sentences: list[str] = []
    room = tokens
    while (room := room - len(tokenizer.encode(f" {(new := made.sentence())}", start=False))) >= 0:
        sentences.append(new)
    return " ".join(sentences)


def tokens_of(made: Made, tokenizer: Tokenizer, tokens: int) -> list[int]:
    """Give exactly so many tokens of sentences."""
    found: list[int] = []
    while len(found) < tokens:
        found += tokenizer.encode(f"{made.sentence()} ", start=not found)
    return found[:tokens]
