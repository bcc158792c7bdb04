"""Words of a short piece of Latin script, as NLTK's `word_tokenize` parts them: needed to score as CMRC 2018 does."""

import re

_JOINED = ("can not", "d 'ye", "gim me", "gon na", "got ta", "lem me", "more 'n")
# Each step works on what the one before has left, so the order is part of the rule.
_STEPS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        ("[«‘„]", r" \g<0> "),
        (r"^\"", " `` "),
        (r"([ (\[{<])(?:\"|'')", r"\1 `` "),
        (r"(?<!\w)'(?!(?:re|ve|ll|[mtsdn])\b)(?=\w)", "' "),
        (r"([^.])\.([])}>\"' »]*)\s*$", r"\1 . \2 "),  # only the last full stop of the piece is one
        (r",(\D|$)", r" , \1"),
        (r"\.{2,}|[;@#$%&?!‒–—―]", r" \g<0> "),
        (r"([^'])' ", r"\1 ' "),
        (r"[]\[(){}<>]", r" \g<0> "),
        (r"^|$", " "),
        ("»", " » "),
        (r"''|\"", " '' "),
        (r"\s+", " "),
        (r"([^' ])('[smd]?) ", r"\1 \2 "),
        (r"([^' ])('ll|'re|'ve|n't) ", r"\1 \2 "),
        *((rf"\b{pair.replace(' ', '')}\b", f" {pair} ") for pair in _JOINED),
        (r"\bwanna ", " wan na "),
        (r" 'tis\b", " 't is "),
        (r" 'twas\b", " 't was "),
    )
]


def words(piece: str) -> list[str]:
    """Give the words of a piece.

    Equal to `NLTKWordTokenizer` of NLTK 3.10 for the lower-case characters of ASCII but ``- : * ` ``, the letters of
    Latin-1, and the quotation marks « » ‘ „ and dashes: what CMRC's script hands to it. `word_tokenize` itself first
    cuts at the ends of sentences, with a trained model; here a piece is one sentence, and a full stop inside it stays
    with its word.
    """
    for pattern, replacement in _STEPS:
        piece = pattern.sub(replacement, piece)
    return piece.split()
