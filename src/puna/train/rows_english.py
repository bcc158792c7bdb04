"""Names, numbers, dates and recurring spans of English sentences, by patterns and a short list of common words."""

import itertools
import re
from collections import defaultdict
from functools import lru_cache

from puna.train.rows_target import Range, Recurrence, Target, widened

GAP = " "  # between sentences
FEWEST, MOST = 100, 250  # words of a passage
LONG, SHORT = 30, 6  # words of a sentence that is asked whole, and of a question at least, beside the blank
_WORDS_OF_SENTENCE = range(7, 46)
_LONGEST_SPAN = 8

_FUNCTION = frozenset(
    """
    a an the this that these those some any each every all both either neither no not nor none such same other
    another own i me my mine myself we us our ours you your yours he him his himself she her hers herself it its itself
    they them their theirs themselves who whom whose which what when where why how there here and or but if because
    as until while of at by for with about against between into through during before after above below to from up
    down in out on off over under again further then once than so too very just only also even still yet though
    although however therefore thus hence since unless whether per via among within without toward towards upon along
    across around near beyond despite except like unlike is are was were be been being am has have had having do does
    did done doing will would shall should can could may might must cannot let lets i'm it's don't doesn't didn't isn't
    aren't wasn't weren't can't couldn't won't wouldn't i've i'd i'll you're you'll you've we're we've we'll they're
    they've he's she's that's there's what's who's let's more most less least much many few several one two three
    four five six seven eight nine ten first second third last next hundred thousand million billion
    """.split()
)
_COMMON = _FUNCTION | frozenset(
    """
    able always almost already another around became become becomes began begin being better black called came
    certain change changed clear close come comes coming common complete consider considered continue course day days
    different difficult early either end enough ever example examples fact family feel felt final find following follow
    follows form found full further gave general generally get give given gives going good great group groups hand
    head help high home house however human important include included includes including increase increased instead
    itself keep kind knew know known large largest later lead left less level life likely line list little live long
    look looked made main make makes making man matter mean means men might moment more name named national nature need
    needed needs never new number numbers often old one open order part particular particularly past people perhaps
    period person place point possible present process provide provided provides put quite rather read really reason
    received related result results right said same saw say says second see seem seemed seen set several show shown
    side similar simple simply since single small something sometimes soon special specific start started state
    such support sure system take taken takes tell term terms thing things think thought three through time times
    together told took toward true turn turned under until upon use used useful uses using usually various want
    wanted water way ways week well went whole within without woman women word words work working world would
    year years young yes chapter figure table section note notes page pages please click link information details
    above below between during before after section contents overview summary introduction references monday tuesday
    wednesday thursday friday saturday sunday january february march april may june july august september october
    november december anyone someone everyone nothing anything everything another themselves question answer
    """.split()
)
_PERSON_VERBS = (
    r"said|says|wrote|writes|recalled|explained|replied|told|married|died|retired|resigned|graduated|studied|taught|"
    r"smiled|cried|was born|was married|was elected|sang"
)
_TITLES = (
    r"Mr|Mrs|Ms|Dr|Prof|Sir|Lord|Lady|King|Queen|Prince|Princess|Emperor|President|Captain|General|Colonel|Major|"
    r"Senator|Saint|Pope|Bishop|Count|Countess|Duke|Governor|Lieutenant|Sergeant|Father|Professor|Doctor"
)
_TITLED = re.compile(rf"\b(?:{_TITLES})\b\.? ([A-Z][\w-]*)")
_ACTING = re.compile(rf"\b([A-Z][\w-]*)(?: (?:{_PERSON_VERBS})\b|, who\b)")
_INSIDE = re.compile(r"(?<=[a-z,] )[A-Z][\w'’-]*")
_BE = "is|are|was|were|has|had|have|can|could|will|would|should|may|might|must"
_WORD = re.compile(r"\w+(?:(?:-|(?<=\d)[.,:](?=\d)|['’](?!s\b))\w+)*")
_CAPITAL = r"(?:[A-ZÀ-Þ]\.|(?:Mr|Mrs|Ms|Dr|St|Prof|Jr|Lt|Col|Gen)\.|[A-ZÀ-Þ](?:[\w-]|['’](?!s\b)(?=\w))*)"
_NAME = re.compile(rf"(?<![\w'’.@#/-]){_CAPITAL}(?: (?:of the |of |de |la |von |van |del )?{_CAPITAL})*(?![\w@/])")
_CITED = re.compile(r"(?: et al\.?| (?:&|and) \w+)?,? \(?(?:19|20)\d\d")
_CUT = re.compile(r"(?:\b(?:von|van|de)|[A-Z][\w.]+ (?:of|for|and)(?: the)?) $")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(
    rf"(?<![\w.,/–-])(?:(?:\d{{1,2}} )?(?:{_MONTHS})(?: \d{{1,2}}(?![\d:]))?(?:,? (?:1\d|20)\d\d)?"
    r"|(?:1\d|20)\d\ds|\d{1,2}(?:st|nd|rd|th) century"
    r"|(?<=\b[Ii]n )(?:1\d|20)\d\d|(?<=since )(?:1\d|20)\d\d|(?<=\b[Bb]y )(?:1\d|20)\d\d|(?<=until )(?:1\d|20)\d\d)"
    r"(?![\w/–-]|[.,]\d)"
)
_NUMBER = re.compile(
    r"(?<![\w.,:/–−#§-])[$£€]?\d+(?:,\d{3})*(?:\.\d+)?(?: (?:million|billion|trillion))?"
    r"(?: ?%| percent| per cent)?(?![\w:/–−-]|[.,]\d)"
)
_YEAR = re.compile(r"(?:1\d|20)\d\d")
_PARTING = re.compile(
    r"[;:] |—| – |, (?=(?:but|which|who|where|while|when|although|because|so|whereas|after) )"
    r"|, (?=and (?:he|she|it|they|this|there|his|her|its|their|in|by) )"
    r"| (?=(?:because(?! of)|while|although|whereas) )"
)
_DEPENDS = re.compile(
    r"[\s\"“(]*(?:and |but |or )?(?:which|who|where|when|with|including|as|after|so|that|to|[a-z]+ing|[a-z]+ed) "
)
_END = re.compile(r"[.!?][\"”’)]*$")
_FOREIGN = re.compile(r"https?:|www\.|[<>|{}\\^`_~@]|\battribution\b|CC BY|\[[^\]]*\]|\.\.\.|…|\n|\ufffd")
_PLURAL = re.compile(r" (?:(?!(?:is|was|has|as|its|this)\b)[a-z]{3,}s|people|men|women|children)\b")
_CONTINUES = re.compile(
    rf"[,.;:)]|$| (?:{_BE}|and|or|but|in|on|at|by|with|from|to|as|for|where|when|who|which|after|before|during|"
    r"became|[a-z]+ed)\b"
)
_ENDS_PHRASE = re.compile(r"$|,|\)| (?:by|at|for|with|from|as|after|before|under|during|near)\b")
_SUBJECT = re.compile(r"(?:the|an?|he|she|it|they|his|her|its|their|this|these|those|there) ")
_ADVERBIAL = re.compile(
    r"(?:in|on|at|with|after|before|from|by|for|during|until|since|while|when|although|because|if|as|to|within|despite|"
    r"according|among|between|under|[a-z]+(?:ing|ed)) ",
    re.IGNORECASE,
)
_SUBJECT_VERB = re.compile(
    rf"(?:, [^,]+,)? (?:also |later |first |then )?(?:{_BE}|became|[a-z]+ed|{_PERSON_VERBS})\b"
)


def size(text: str) -> int:
    """Count words."""
    return len(_WORD.findall(text))


def weight(span: str) -> float:
    """Prefer names and numbers, then longer spans."""
    words = len(span.split())
    return 4.0 * words if span[0].isupper() or span[0].isdigit() else words if words > 1 else 0.3


def askable(sentence: str) -> bool:
    """Say whether it is a whole sentence of a fitting length, of words and nothing else."""
    first = sentence.lstrip("\"“‘'(")[:1]
    letters = sum(c.isalpha() or c.isspace() for c in sentence)
    return (
        (first.isupper() or first.isdigit())
        and bool(_END.search(sentence))
        and not _FOREIGN.search(sentence)
        and len(_WORD.findall(sentence)) in _WORDS_OF_SENTENCE
        and letters > 0.8 * len(sentence)
    )


def recurrences(text: str, ranges: list[Range]) -> list[Recurrence]:
    """List spans of one to eight words, between content words, that no longer recurring span holds."""
    words = [[m.span() for m in _WORD.finditer(text, *each)] for each in ranges]
    places: defaultdict[tuple[str, ...], list[Range]] = defaultdict(list)  # sentence, first word
    lower = [[text[a:b].lower() for a, b in line] for line in words]
    joined = [[text[b:c] == " " for (_, b), (c, _) in itertools.pairwise(line)] for line in words]
    for n, line in enumerate(lower):
        for first, word in enumerate(line):
            if word in _FUNCTION:
                continue
            for last in range(first, min(first + _LONGEST_SPAN, len(line))):
                if last > first and not joined[n][last - 1]:
                    break
                if line[last] not in _FUNCTION:
                    places[tuple(line[first : last + 1])].append((n, first))
    found = []
    for key, where in places.items():
        if len({n for n, _ in where}) < 2:
            continue
        ends = [(n, first, first + len(key) - 1) for n, first in where]
        before = {lower[n][a - 1] if a and joined[n][a - 1] else (n, a) for n, a, _ in ends}
        after = {lower[n][b + 1] if b + 1 < len(lower[n]) and joined[n][b] else (n, b) for n, _, b in ends}
        if any(
            len(each) == 1 and isinstance(w := next(iter(each)), str) and w not in _FUNCTION
            for each in (before, after)
        ):
            continue  # part of a longer one
        spans = [(words[n][a][0], words[n][b][1]) for n, a, b in ends]
        inner = any(text[a:b][:1].isupper() for (a, b), (_, first) in zip(spans, where, strict=True) if first)
        if _telling(text, spans, inner) and not any(
            _CITED.match(text, b) or _cuts_name(text, a, b) for a, b in spans
        ):
            kind = "person" if inner and _person(text, text[slice(*spans[-1])]) else ""
            found.append(Recurrence(kind, tuple(spans), tuple(spans)))
    return found


def targets(text: str, start: int, end: int) -> list[Target]:
    """List dates, numbers and names; what lies inside one that stands before it in this list is left out."""
    found = [Target(*m.span(), "date") for m in _DATE.finditer(text, start, end) if any(map(str.isdigit, m[0]))]
    for match in _NUMBER.finditer(text, start, end):
        before = _word_before(text, start, match.start())
        plain = match[0].isdigit()
        labelled = before[:1].isupper() and not text.startswith(before, start)  # Figure 3, Article 12
        if not labelled and not (
            plain and (_YEAR.fullmatch(match[0]) or len(match[0]) == 1 or match.start() == start)
        ):
            _add(found, Target(*match.span(), "number"))
    for match in _NAME.finditer(text, start, end):
        if name := _name(text, start, *match.span()):
            _add(found, name)
    return found


def clause(text: str, start: int, end: int, target: Target) -> Range:
    """Cut at commas and conjunctions; six words at least stay beside the blank."""
    first, last = widened(
        text, start, end, target, _PARTING, lambda part: size(part) >= SHORT and not _DEPENDS.match(part)
    )
    lead = re.match(r"[\s\"“(]*(?:(?:and|but|or|while|although|whereas|because) )?", text[first : target.start])
    first += lead.end() if lead and first > start else 0
    while last > target.end and text[last - 1] in " ,;:(—–":
        last -= 1
    return first, last


def asked(text: str, start: int, end: int, target: Target) -> str | None:
    """Write who, what, when, where or how many; only where the words around make the sentence a question by it."""
    before, answer = text[start : target.start], text[target.start : target.end]
    after = text[target.end : end].rstrip().rstrip(".!?;:,")
    before, after = (" ".join(part.split("\n")) for part in (before, after))
    if re.search(r"[\"“”]", before + after):
        return None
    if target.kind == "date":
        return _when(before, answer, after)
    if not ((before + answer)[:1].isupper() or _SUBJECT.match(before)) or _ADVERBIAL.match(before):
        return None
    if target.kind == "number":
        return _how_many(before, answer, after)
    if not _CONTINUES.match(after or "."):
        return None
    if before in ("", "The ") and _SUBJECT_VERB.match(after):
        plural = answer.endswith(("s", "ish", "ese", "ch"))
        wh = "Who" if target.kind == "person" else "What" if before and answer[0].isupper() and not plural else ""
        return f"{wh}{after}?" if wh else None
    if target.kind == "person":
        return f"{before}whom{after}?" if re.search(r"\b(?:by|with|to|of|for|from|against) $", before) else None
    place = re.search(r"\s(?:in|at|near) $", before)
    if place and target.kind == "name" and _ENDS_PHRASE.match(after) and not re.match(", [A-Z]", after):
        return _inverted(before[: place.start()], after, "Where")
    return None


def _when(before: str, answer: str, after: str) -> str | None:
    place = re.search(r"(?:^|\s)(in|on|since|until|by|In|On|Since|By)(?: the)? $", before)
    if not place:
        return None
    stem, preposition = before[: place.start()], place[1].lower()
    if not _ENDS_PHRASE.match(after):
        return None
    if not stem:
        question = _inverted("", after, "When") if preposition in ("in", "on") else None
        return question or (f"{before}what year {after.lstrip(', ')}?" if answer.isdigit() else None)
    if (not _SUBJECT.match(before) and not before[:1].isupper()) or _ADVERBIAL.match(before):
        return None
    if preposition in ("in", "on") and (question := _inverted(stem, after, "When")):
        return question
    if preposition in ("in", "on") and not answer.isdigit():
        return f"{stem} when{after}?"
    return f"{stem} {preposition} {'what year' if answer.isdigit() else 'when'}{after}?"


def _how_many(before: str, answer: str, after: str) -> str | None:
    if re.search(
        r"(?:^|\W)"
        r"(?:about|over|nearly|almost|than|least|around|approximately|of|the|up to|some|roughly|within|and|or|to) $",
        before,
    ):
        return None
    if answer.endswith(("%", "percent", "per cent")):
        return f"{before}what percentage{after}?" if after.startswith(" of") and before else None
    if answer[0] in "$£€":
        return f"{before}how much{after}?" if before and (not after or after[0] in ",;") else None
    if not _PLURAL.match(after):
        return None
    return f"{before}how many{after}?" if before else f"How many{after}?"


def _inverted(before: str, after: str, wh: str) -> str | None:
    """Put the auxiliary verb before the subject; None where the subject is not plainly what stands before it."""
    body = before + after if before else after.lstrip(", ")
    match = re.match(rf"((?:[\w'’-]+ ){{1,6}}?)({_BE}) ", body)
    if not match or re.search(
        r"\b(?:that|which|who|and|or|when|if|there|it|as|whether|where|what|how|why|while|than)\b",
        match[1],
        re.IGNORECASE,
    ):
        return None
    if re.search(r"\b(?:that|which|who|when|where)\b", before):
        return None
    subject = match[1].rstrip()
    first = subject.split()[0]
    if first.lower() in _FUNCTION and first != "I":
        subject = first.lower() + subject[len(first) :]
    return f"{wh} {match[2]} {subject} {body[match.end() :].strip(' ,')}?"


def _name(text: str, start: int, first: int, last: int) -> Target | None:
    """Give a name without the words that are capital only because they begin the sentence; None if none is left."""
    if _CITED.match(text, last) or _CUT.search(text, max(start, first - 40), first):
        return None
    while (word := _WORD.match(text, first, last)) and word[0].lower() in _FUNCTION:
        first = word.end() + 1
    name = text[first:last]
    if len(name) < 3 or name.lower() in _COMMON or name.endswith(".") or name.isdigit():
        return None
    if any(part in _MONTHS.split("|") for part in name.split()) or first >= last:
        return None
    opening = not text[start:first].strip("\"“‘'( ")
    if opening and " " not in name and not name.isupper() and name not in _capital_inside(text):
        return None
    if " " in name and opening and name.split()[0] not in _capital_inside(text):
        one, two = name.split()[:2]
        if one.lower() in _COMMON or two in ("of", "de"):
            return None
    return Target(first, last, "person" if _person(text, name) else "name")


def _person(text: str, name: str) -> bool:
    """Tell a person by a title, or by what is said of the name somewhere in the text."""
    return bool(_TITLED.match(name)) or name.rsplit(maxsplit=1)[-1] in _persons(text)


@lru_cache(maxsize=4)
def _persons(text: str) -> frozenset[str]:
    return frozenset(m[1] for pattern in (_TITLED, _ACTING) for m in pattern.finditer(text))


@lru_cache(maxsize=4)
def _capital_inside(text: str) -> frozenset[str]:
    """List words that are capital in the middle of a sentence."""
    return frozenset(_INSIDE.findall(text))


def _telling(text: str, spans: list[Range], inner: bool) -> bool:
    """Say whether a span is worth asking for: a name, a number, a rarer word or several words."""
    span = text[slice(*spans[0])]
    words = span.split()
    every = [text[a:b] for a, b in spans]
    name = inner and all(each[:1].isupper() for each in every)
    if len(words) == 1:
        if span.lower() in _COMMON or span.lower().rstrip("s") in _COMMON or len(span) < 3:
            return False
        if span[0].isdigit():
            return len(span) > 3 and not any(text.endswith(", ", 0, start) for start, _ in spans)  # (Ash, 2022)
        return (
            name
            or (span.isupper() and span.isalpha())
            or (_noun(span) and any(_determined(text, a) for a, _ in spans))
        )
    edges = (words[0], words[-1])
    if not name and any(word.lower().rstrip("s") in _COMMON or word.lower() in _COMMON for word in edges):
        return False
    return name or all(_noun(words[-1]) and not word.endswith(("ly", "ed", "ing")) for word in edges)


def _determined(text: str, start: int) -> bool:
    """Tell by the word before that a noun follows."""
    return bool(
        re.search(
            r"\b(?:the|an?|of|this|these|those|its|their|his|her|some|by|with) $", text[max(0, start - 7) : start]
        )
    )


def _noun(word: str) -> bool:
    """Guess from length and ending that a word is a noun, and no everyday one."""
    return (
        len(word) > 5
        and word.replace("-", "").isalpha()
        and not word.endswith(
            (
                "ly",
                "ed",
                "ing",
                "ful",
                "ous",
                "ive",
                "able",
                "ible",
                "al",
                "ic",
                "less",
                "ary",
                "er",
                "est",
                "ize",
                "ate",
            )
        )
    )


def _cuts_name(text: str, start: int, end: int) -> bool:
    """Tell whether the span is a piece of a longer name: its neighbour is capital or a number, as it is."""
    before = re.search(r"([\w.]+) $", text[max(0, start - 40) : start])
    after = re.match(r" (\w+)|-\w|['’](?!s\b)\w", text[end : end + 40])
    if text[max(0, start - 1) : start] in ("-", "’", "'", "$", "#", "/", "@"):
        return True
    if after and after[1] is None:
        return True
    capital = text[start].isupper() or text[start].isdigit()
    if (
        capital
        and before
        and (before[1][0].isupper() or before[1][0].isdigit())
        and before[1].lower() not in _FUNCTION
    ):
        return True
    if capital and re.search(r"[A-Z][\w.]* (?:of|de|von|van)(?: the)? $", text[max(0, start - 40) : start]):
        return True
    last = text[start:end].rsplit(maxsplit=1)[-1]
    follows = after is not None and after[1] and (after[1][0].isupper() or after[1][0].isdigit())
    return bool((last[0].isupper() or last[0].isdigit()) and follows) or bool(
        last[0].isupper() and re.match(r" (?:of|de|von|van) (?:the )?[A-Z]", text[end : end + 12])
    )


def _word_before(text: str, start: int, end: int) -> str:
    words = text[max(start, end - 40) : end].split()
    return words[-1].strip('("“') if words else ""


def _add(found: list[Target], target: Target) -> None:
    if all(target.end <= each.start or each.end <= target.start for each in found):
        found.append(target)
