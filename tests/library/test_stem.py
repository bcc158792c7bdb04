"""Porter's stemmer against NLTK's, which is the published one."""

from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.stem.porter import PorterStemmer

from puna.library.stem import stem

PUBLISHED = PorterStemmer(mode=PorterStemmer.ORIGINAL_ALGORITHM)
STEMS = st.text(alphabet="abeilnorstuvyz", min_size=1, max_size=7)
ENDINGS = """
s es ies sses ed eed ing y e l ll at bl iz ational tional enci anci izer abli alli entli eli ousli ization
ation ator alism iveness fulness ousness aliti iviti biliti icate ative alize iciti ical ful ness al ance ence er ic able
ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize""".split()


def test_as_published() -> None:
    words = (
        "caresses ponies ties caress cats feed agreed plastered bled motoring sing conflated troubled sized hopping"
    )
    stems = "caress poni ti caress cat feed agre plaster bled motor sing conflat troubl size hop"
    assert [stem(word) for word in words.split()] == stems.split()


@settings(deadline=None)
@given(STEMS, st.sampled_from(["", *ENDINGS]))
def test_as_another_program_has_it(word: str, ending: str) -> None:
    word += ending
    # Published, too, but later: words of one or two letters stay as they are.
    assert stem(word) == (word if len(word) <= 2 else PUBLISHED.stem(word))
