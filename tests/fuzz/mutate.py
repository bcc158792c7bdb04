"""Breaking sound files: by their structure, and byte by byte."""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.fuzz.archive import break_archive
from tests.fuzz.choices import Choices
from tests.fuzz.documents import DOCUMENTS
from tests.fuzz.forms import Gguf, Json, Pair, Pairs, Raw, dump_json, parse_gguf, parse_json
from tests.weights.raw_gguf import ARR, STR

WRAP = 0x7FFFFFFFFFFFFFC0
NUMBERS: tuple[Any, ...] = (
    0,
    1,
    -1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**53,
    2**60,
    2**62,
    WRAP,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63),
    10**18,
    10**400,
    0.0,
    -0.0,
    0.5,
    1.0,
    1.5,
    -1.5,
    1e-300,
    5e-324,
    1e300,
    float("inf"),
    float("-inf"),
    float("nan"),
    True,
    False,
    None,
)
TEXTS = (
    "",
    "a",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gpt2",
    "t5",
    "yarn",
    "linear",
    "dynamic",
    "longrope",
    "llama3",
    "none",
    "\x00",
    "\x1b[2J\x1b[31m",
    "a\nb\r\u2028c",
    "\u202eevil",
    "../../../etc/passwd",
    "/etc/passwd",
    "..",
    "model.safetensors",
    "a" * 300,
    "x" * 70_000,
    "▁",
    " ",
    "<|im_end|>",
    "<s>",
    "</s>",
    "<unk>",
    "<0x0A>",
    "{{ 1 }}",
    "%s%n",
    "字" * 200,
    "\U0001f999",
    "[a]",
    "Infinity",
    "1e999",
    "(a+)+$",
    "((((((((((a*)*)*)*)*)*)*)*)*)*b",
    "(?:" * 300 + ")" * 300,
    "[",
    "\\",
    "\\p{L}+(?!\\S)",
    "(a|a?)+b",
    ".{1,100000}{1,100000}",
)
JSON_TEXTS = (
    Raw("[" * 500 + "]" * 500),
    Raw("[" * 90_000 + "]" * 90_000),
    Raw('{"a":' * 900 + "1" + "}" * 900),
    Raw("[" * 970 + "]" * 970),
    Raw('"\\ud800"'),
    Raw('"\\u0000"'),
    Raw("9" * 4000),
    Raw("9" * 5000),
    Raw("-0"),
    Raw("1e400"),
    Raw("nul"),
    Raw(""),
    Raw('{"a":1,"a":2}'),
    Raw("[" + "0," * 5000 + "0]"),
    Raw("{" + ",".join(f'"{i}":{i}' for i in range(3000)) + "}"),
)
FRAGMENTS = (
    "{% for a in range(10**9) %}x{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "{{ 10**10**10 }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ messages.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{% include 'x' %}",
    "{% import 'os' as os %}",
    "{{ '%s' % messages }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ messages|tojson(indent=10**9) }}",
    "{% set ns = namespace(a=[]) %}{% for i in range(999) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}",
    "{{ raise_exception('a\nb\x1b[2J') }}",
    "{{ strftime_now('%Y' * 99) }}",
    "{% set x = 'ab' %}{% for i in range(99) %}{% set x = x ~ x %}{% endfor %}{{ x }}",
    "{{ messages[0]['content'] }}",
    "{{ (" * 200,
    "{% if a %}" * 200,
    "{% for m in messages %}" * 25,
    "{{ 1" + "+1" * 3000 + " }}",
    "{{ " + "not " * 3000 + "a }}",
    "{{ " + "9" * 5000 + " }}",
    "{{ 1e999 }}",
    "{{ x.y.z }}",
    "{{ messages|sort|unique|list|join('a'*999) }}",
    "{#",
    "{%",
    "{{",
    "\ud800",
    "{% break %}",
    "{% generation %}a{% endgeneration %}",
    "{{ bos_token }}{{ bos_token }}",
    "{{ namespace(**{'a': 1}) }}",
    "{{ self }}",
    "{{ loop }}",
    "{% call(x) messages() %}{% endcall %}",
    "{{ messages|map(attribute='__class__')|list }}",
    "{{ lipsum() }}",
    "{{ dict(a=dict)['a']() }}",
    "{% filter upper %}{% filter lower %}a{% endfilter %}{% endfilter %}",
    "{{ -1 // 0 }}",
    "{{ range(10, 0, 0) }}",
    "{{ [1]|batch(10**9) }}",
)


class Odd(NamedTuple):
    """What stands in a file's place: "link" to a path (from the case's own folder), "folder", "pipe" or "gone"."""

    kind: str
    target: str = ""


Case = dict[str, bytes | Odd]  # file name -> content
GIVEN = ("model.gguf", "lora.gguf", "given.json", *DOCUMENTS)  # a user named these, and may name a link
LINKS = (
    "../outside/secret.json",
    "../outside/secret.gguf",
    "/etc/hostname",
    "/dev/zero",
    ".",
    "loop",
    "../outside",
    "missing",
)


def mutated(case: Mapping[str, bytes], choices: Choices) -> Case:
    """Break a case's files in one place, or in a few."""
    found: Case = dict(case)
    for _ in range(choices.pick((1, 1, 1, 2, 3, 4))):
        names = sorted(name for name, content in found.items() if isinstance(content, bytes))
        if not names:
            break
        name = choices.pick(names)
        content = found[name]
        assert isinstance(content, bytes)
        if choices.one_in(40):
            kinds = ("folder", "pipe", "gone") if name in GIVEN else ("link", "link", "folder", "pipe", "gone")
            found[name] = Odd(choices.pick(kinds), choices.pick(LINKS))
        elif choices.one_in(40):
            found[choices.pick(names)] = content
        else:
            found[name] = broken(name, content, choices)
    return found


def broken(name: str, content: bytes, choices: Choices) -> bytes:
    """Break one file: mostly in its own form, sometimes as plain bytes."""
    if choices.below(5):
        try:
            return _form(name, content)(content, choices)
        except (ValueError, LookupError, struct.error, RecursionError):
            pass  # it is broken already, and has no form
    return _bytes(content, choices)


def _form(name: str, content: bytes) -> Callable[[bytes, Choices], bytes]:
    if content.startswith(b"GGUF"):
        return _gguf
    if name.endswith(".safetensors"):
        return _safetensors
    if content.startswith(b"PK"):
        return lambda whole, drawn: break_archive(whole, drawn, _bytes, _floats)
    if name.endswith(".json"):
        return _json
    if name.endswith(".jinja"):
        return _template
    return _protobuf if content.startswith(b"\n") else _lines


def _bytes(content: bytes, choices: Choices) -> bytes:
    found = bytearray(content)
    at = choices.below(len(found) + 1)
    act = choices.below(8)
    if act == 0:
        return bytes(found[:at])
    if act == 1 and found:
        found[at % len(found)] ^= 1 << choices.below(8)
    elif act == 2 and found:
        found[at % len(found)] = choices.pick((0, 1, 0x7F, 0x80, 0xFF))
    elif act == 3:
        number = choices.pick((0, 1, 2**31, 2**32, 2**60, 2**63, WRAP, 2**64 - 1))
        found[at : at + 8] = number.to_bytes(8, "little")
    elif act == 4:
        found[at : at + choices.below(64)] = b""
    elif act == 5:
        found[at:at] = choices.raw(choices.below(16))
    elif act == 6:
        begin = choices.below(len(found) + 1)
        found[at:at] = found[begin : begin + choices.below(200)]
    else:
        found[at : at + 4] = choices.pick((0, 1, 99, 2**31, 2**32 - 1)).to_bytes(4, "little")
    return bytes(found)


def _number(choices: Choices) -> Any:
    return choices.pick(NUMBERS) if choices.below(4) else choices.below(2**32) - 2**20


def _text(choices: Choices) -> str:
    return choices.pick(TEXTS)


# JSON


def _json(content: bytes, choices: Choices) -> bytes:
    value = _changed(parse_json(content), choices)
    return dump_json(value).encode("utf-8", "surrogatepass")


def _changed(value: Json, choices: Choices) -> Json:
    """Change one place in a tree; deeper places are as likely as shallow ones."""
    places: list[tuple[Any, int]] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            small = range(len(node)) if len(node) < 40 else {0, 1, len(node) - 1, choices.below(len(node))}
            places += [(node, i) for i in small]
            waiting += [node[i][1] if isinstance(node, Pairs) else node[i] for i in small]
    if not places or choices.one_in(30):
        return _new(value, choices)
    node, i = choices.pick(places)
    act = choices.below(10)
    if act == 0:
        del node[i]
    elif act == 1:
        node.insert(i, node[i])
    elif act == 2:
        _, other = choices.pick(places)
        other %= len(node)
        node[i], node[other] = node[other], node[i]
    elif act == 3 and isinstance(node, Pairs):
        node[i] = (choices.pick((choices.pick(node)[0], _text(choices))), node[i][1])
    elif act == 4 and isinstance(node, Pairs):
        node.append((_text(choices), _new(None, choices)))
    elif act == 5:
        node.extend(node[:50] * choices.below(100))
    elif isinstance(node, Pairs):
        node[i] = (node[i][0], _new(node[i][1], choices))
    else:
        node[i] = _new(node[i], choices)
    return value


def _new(value: Json, choices: Choices) -> Json:
    act = choices.below(8)
    if act < 3:
        return _number(choices)
    if act < 5:
        return _text(choices)
    if act == 5:
        return choices.pick(JSON_TEXTS)
    return choices.pick(
        ([], Pairs(), [value], Pairs([("a", value)]), [value, value], [[]], [None], str(value)[:100])
    )


# safetensors


def _safetensors(content: bytes, choices: Choices) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    act = choices.below(6)
    if act == 0:
        length = choices.pick((0, 1, length - 1, length + 1, len(content), 2**31, 2**63, 2**64 - 1, 10_000_001))
        return min(max(length, 0), 2**64 - 1).to_bytes(8, "little") + header + data  # it may be broken already
    if act == 1:
        data = _floats(data, choices)
    else:
        header = _json(header, choices)
        if choices.one_in(8):
            header += b" " * choices.below(20)
    return len(header).to_bytes(8, "little") + header + data


def _floats(data: bytes, choices: Choices) -> bytes:
    """Put extreme numbers among the weights, or cut or lengthen them."""
    act, found = choices.below(4), bytearray(data)
    if act == 0:
        return data[: choices.below(len(data) + 1)]
    if act == 1:
        return data + choices.raw(choices.below(9))
    at = choices.below(len(data) // 4 + 1) * 4
    found[at : at + 4] = struct.pack("<f", choices.pick((float("nan"), float("inf"), 3e38, 1e-45, 0.0)))
    return bytes(found)


# GGUF


def _gguf(content: bytes, choices: Choices) -> bytes:
    found = parse_gguf(content)
    act = choices.below(12)
    if act == 0:
        claim = choices.pick(("tensors", "keys", "version", "alignment"))
        top = 2**32 if claim == "version" else 2**64
        number = choices.pick((0, 1, 2, 3, 4, 8, 33, 2**16, 2**31, 2**32 - 1, 2**60, 2**63, 2**64 - 1)) % top
        found.claims[claim] = max(number % 2**17, 1) if claim == "alignment" else number
    elif act == 1:
        found.data = _floats(found.data, choices)
    elif act < 5 and found.infos:
        _info(found, choices)
    elif found.pairs:
        _pair(found, choices)
    return found.raw()


def _info(found: Gguf, choices: Choices) -> None:
    infos = found.infos
    at = choices.below(len(infos))
    info, act = infos[at], choices.below(8)
    if act == 0:
        info.dims[choices.below(len(info.dims))] = choices.pick(
            (0, 1, 16, 31, 32, 33, 2**16, 2**31, 2**32, 2**60, 2**63, WRAP, 2**64 - 1)
        )
    elif act == 1:
        info.dims = [choices.pick((0, 1, 32, 2**16, 2**32, 2**60)) for _ in range(choices.below(6))]
    elif act == 2:
        info.kind = choices.pick((*range(40), 99, 2**31, 2**32 - 1))
    elif act == 3:
        info.offset = choices.pick((0, 1, 32, info.offset + 32, 2**31, 2**63, 2**64 - 32, 2**64 - 1))
    elif act == 4:
        other = choices.pick(infos)
        info.offset, other.offset = other.offset, info.offset
    elif act == 5:
        info.name = choices.pick(
            (
                choices.pick(infos).name,
                _text(choices).encode()[:70],
                b"\xff",
                b"output.weight",
                b"rope_freqs.weight",
                b"blk.999999.attn_q.weight",
                b"rope_factors_long.weight",
                b"blk.0.attn_k.bias",
                b"blk.0.attn_q_norm.weight",
            )
        )
    elif act == 6:
        infos.insert(choices.below(len(infos)), info) if choices.below(2) else infos.pop(at)
    else:
        info.claimed = choices.pick((0, 1, 3, 4, 5, 2**31, 2**32 - 1))


def _pair(found: Gguf, choices: Choices) -> None:
    pairs = found.pairs
    at = choices.below(len(pairs))
    pair, act = pairs[at], choices.below(9)
    if act == 0:
        del pairs[at]
    elif act == 1:
        pairs.insert(choices.below(len(pairs)), pair)
    elif act == 2:
        pair.key = choices.pick((choices.pick(pairs).key, _text(choices).encode(), b"\xff\xfe"))
    elif act == 3:
        pair.kind = choices.below(14)
        if pair.kind == ARR and not isinstance(pair.value, list):
            pair.value, pair.item = [pair.value] * choices.below(4), choices.below(14)
        elif pair.kind == STR and not isinstance(pair.value, bytes):
            pair.value = _text(choices).encode()
    elif act == 4:
        pair.claimed = choices.pick((0, 1, 1000, 2**31, 2**32, 2**60, 2**62, 2**63, 2**64 - 1))
    elif act == 5:
        key = choices.pick(KEYS)
        kind = choices.pick((STR, 4, 5, 6, 7, 10, ARR))
        value = (
            _text(choices).encode()
            if kind == STR
            else [_number(choices)] * choices.below(5)
            if kind == ARR
            else _number(choices)
        )
        pairs.append(Pair(key, kind, value, choices.pick((4, 5, 6, 7, 8))))
    elif isinstance(pair.value, list) and pair.value:
        _array(pair, choices)
    elif pair.kind == STR:
        pair.value = _text(choices).encode() if choices.below(3) else _bytes(pair.value, choices)
    else:
        pair.value = _number(choices)


def _array(pair: Pair, choices: Choices) -> None:
    values, act = pair.value, choices.below(7)
    at = choices.below(len(values))
    if act == 0:
        pair.item = choices.below(14)
    elif act == 1:
        del values[at : at + 1 + choices.below(3)]
    elif act == 2:
        values[at] = values[choices.below(len(values))]
    elif act == 3:
        values += values[:100] * choices.below(50)
    elif act == 4:
        pair.value = [choices.pick((1, 2, 3, 4, 5, 6, float("nan"))) for _ in values]
    else:
        values[at] = _text(choices).encode() if pair.item == STR else _number(choices)


KEYS = tuple(
    f"{prefix}{key}".encode()
    for prefix, keys in {
        "llama.": "rope.scaling.type rope.scaling.factor rope.scaling.original_context_length "
        "rope.scaling.yarn_beta_fast rope.scale_linear "
        "rope.freq_base attention.key_length attention.value_length attention.sliding_window "
        "rope.dimension_count vocab_size expert_count rope.scaling.attn_factor strange",
        "qwen2.": "attention.sliding_window rope.freq_base",
        "qwen3.": "attention.sliding_window attention.key_length",
        "general.": "alignment quantization_version type architecture name",
        "tokenizer.ggml.": "pre model merges scores token_type bos_token_id eos_token_id eot_token_id eom_token_id "
        "unknown_token_id add_bos_token add_space_prefix remove_extra_whitespaces precompiled_charsmap tokens",
        "tokenizer.": "chat_template",
        "adapter.": "lora.alpha type lora.strange",
        "puna.": "about tensor.x shape.x",
        "split.": "count",
    }.items()
    for key in keys.split()
)


# tokenizer.model and templates


def _protobuf(content: bytes, choices: Choices) -> bytes:
    """Change a field of the outermost message: its key, its length, its content, its place."""
    fields, at = [], 0
    while at < len(content) - 1 and len(fields) < 2000:
        size = content[at + 1]
        if size >= 0x80:  # a long one: all the rest
            size = len(content)
        fields.append(bytearray(content[at : at + 2 + size]))
        at += 2 + size
    i, act = choices.below(len(fields)), choices.below(6)
    if act == 0:
        del fields[i]
    elif act == 1:
        fields.insert(choices.below(len(fields)), fields[i])
    elif act == 2:
        fields[i][0] = choices.pick((*range(1, 40), 0xFF))
    elif act == 3:
        fields[i][1:2] = choices.pick(
            (b"\x00", b"\x01", b"\x7f", b"\xff\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01", b"\xff" * 12)
        )
    elif act == 4:
        fields += fields[:200] * choices.below(20)
    else:
        fields[i] = bytearray(_bytes(bytes(fields[i]), choices))
    return b"".join(fields)


def _lines(content: bytes, choices: Choices) -> bytes:
    lines = content.split(b"\n")
    i, act = choices.below(len(lines)), choices.below(5)
    if act == 0:
        del lines[i]
    elif act == 1:
        lines.insert(choices.below(len(lines)), lines[i])
    elif act == 2:
        j = choices.below(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
    elif act == 3:
        lines[i] = _text(choices).encode() + b" " + str(_number(choices)).encode()
    else:
        lines[i] = _bytes(lines[i], choices)
    return b"\n".join(lines)


def _template(content: bytes, choices: Choices) -> bytes:
    source = content.decode("utf-8", "surrogateescape")
    at, act = choices.below(len(source) + 1), choices.below(6)
    if act < 3:
        source = source[:at] + choices.pick(FRAGMENTS) + source[at:]
    elif act == 3:
        source = source[:at] + source[at + 1 + choices.below(20) :]
    elif act == 4:
        begin = choices.below(len(source) + 1)
        source = source[:at] + source[begin : begin + choices.below(200)] * (1 + choices.below(5)) + source[at:]
    else:
        source = f"{{% for i in range({choices.pick((3, 100, 10**5, 10**9))}) %}}{source}{{% endfor %}}"
    return source.encode("utf-8", "surrogatepass" if "\ud800" in source else "surrogateescape")
