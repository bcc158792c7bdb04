"""Chat templates: what Transformers renders, and what no template may do."""
# ruff: noqa: E501  templates read better in one line each

import threading

import pytest

from puna.errors import InputError, ModelFileError
from puna.tokens.template import ChatTemplate

MESSAGES = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "wörld <&> 你好"}]

ORDINARY = [
    "{{ messages[0].content }}",
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] | trim }}\n{% endfor %}",
    "{% for m in messages %}\n    {% if loop.first %}\n  first\n    {% endif %}\n{{ loop.index0 }}{% endfor %}",
    "{%- for m in messages -%}{{ m | tojson }}{%- if not loop.last %},{% endif -%}{% endfor %}",
    "{{ messages | tojson(indent=2) }}{{ {'b': 1, 'a': '<é>'} | tojson(sort_keys=true) }}",
    "{% set ns = namespace(n=0, seen=[]) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    "{% for m in messages %}{% if m.role == 'assistant' %}{% break %}{% endif %}{{ m.content }}{% endfor %}",
    "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}{{ m.content }}{% endfor %}",
    "{% macro say(m, end='!') %}{{ m.content ~ end }}{% endmacro %}{{ say(messages[0]) }}{{ say(messages[1], end='?') }}",
    "{% set rest = messages[1:] %}{{ rest | length }}{{ rest[-1]['content'][:3] }}{{ messages[::-1][0].role }}",
    "{{ bos_token }}{{ eos_token }}{{ unk_token }}{% if tools is not none %}tools{% endif %}{% if documents %}d{% endif %}",
    "{% if add_generation_prompt %}go{% endif %}{% if messages[0].nothing is defined %}x{% endif %}{{ messages[0].nothing }}",
    "{{ messages | map(attribute='content') | join(' / ') }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
    "{{ 'a,b'.split(',')[1] }}{{ ' x '.strip() }}{{ 'abc'.startswith('ab') }}{{ 'a-b'.replace('-', '+') }}{{ 'x'.upper() }}",
    "{{ '</think>' in messages[1].content }}{{ 'e' not in 'abc' }}{{ 1 < 2 <= 2 }}{{ 'user' == messages[0].role }}",
    "{{ messages[0].items() | list }}{{ messages[0].get('role') }}{{ messages[0].get('no', 'd') }}{{ messages[0].keys() | list }}",
    "{{ 7 // 2 }}{{ 7 % 4 }}{{ 2 ** 5 }}{{ 3 * 4 - 1 }}{{ 1 / 2 }}{{ '=' * 5 }}{{ -3 | abs }}{{ '4' | int + 1 }}",
    "{{ range(3) | list }}{{ dict(a=1, b='x') }}{{ [1, 2] + [3] }}{{ (1, 'a') }}{{ {'k': [1]} }}",
    "{{ 'a\nb' | indent(2) }}{{ 'a\nb' | indent(2, first=true) }}{{ 'a\n\nb' | indent('> ', blank=true) }}",
    "{{ 'abc' | upper | reverse }}{{ ['b', 'a'] | sort | join(',') }}{{ [1, 1, 2] | unique | list }}{{ [3, 1] | max }}",
    "{{ none | default('d') }}{{ '' | default('d', true) }}{{ messages | first }}{{ 'a' is string }}{{ messages is iterable }}",
    "{% filter upper %}abc{{ messages[0].content }}{% endfilter %}{% set x %}block{% endset %}{{ x }}",
    "{% macro outer() %}[{{ caller('in') }}]{% endmacro %}{% call(y) outer() %}{{ y }}{% endcall %}",
    "{% generation %}marked {{ messages[0].content }}{% endgeneration %}",
    "{% for k, v in messages[0] | dictsort %}{{ k }}={{ v }};{% endfor %}{% for k, v in {'z': 1}.items() %}{{ k }}{% endfor %}",
    "{% for x in [[1, [2]], [3]] recursive %}{{ loop(x) if x is not number else x }}{% endfor %}",
    "{{ '%s' | string }}{{ 'yes' if messages else 'no' }}{{ not false and (true or x) }}{{ 'é' | tojson(ensure_ascii=true) }}",
    "{{ messages[1].content | replace('<', '(') | safe }}{{ 'a' 'b' }}{{ 'a' ~ 1 ~ none ~ [1] }}{{ 1.5 | int }}{{ loop is defined }}",
    "{{ 'aXbX'.rstrip('X').lstrip('a') }}{{ 'x'.join(['1', '2']) }}{{ 'Ab'.lower().title() }}{{ 'abc'.find('c') }}{{ 'a b'.split() }}",
    "{% set a, b = 1, 2 %}{{ a + b }}{% for i in range(2, 8, 3) %}{{ loop.cycle('o', 'e') }}{{ i }}{% else %}none{% endfor %}",
]


@pytest.mark.parametrize("source", ORDINARY)
@pytest.mark.parametrize("start", [True, False])
def test_rendering_equals_transformers(source, start):
    from transformers.utils.chat_template_utils import render_jinja_template

    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    (expected,), _ = render_jinja_template([MESSAGES], chat_template=source, add_generation_prompt=start, **tokens)
    assert ChatTemplate(source, "<s>", "</s>").render(MESSAGES, start) == expected


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''['__cla' ~ 'ss__'] }}",
    "{{ '' | attr('__class__') }}",
    "{{ '' | attr('__class__') | attr('__base__') }}",
    "{{ ['__class__'] | map('attr', '__class__') | list }}",
    "{{ [''] | map(attribute='__class__') | list }}",
    "{{ [messages] | selectattr('__class__') | list }}",
    "{{ messages | sort(attribute='__class__') }}",
    "{{ messages.__init__.__globals__ }}",
    "{{ messages[0].__class__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'].system('id') }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ namespace.__class__.__mro__ }}",
    "{{ namespace(__class__='x').__class__ }}",
    "{{ dict.__base__.__subclasses__() }}",
    "{{ dict.fromkeys.__self__ }}",
    "{{ range.__class__ }}",
    "{{ range(3).__reduce__() }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__globals__['BUDGET'] }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.environment }}",
    "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for x in [1] %}{{ loop._iterable }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{{ m.__call__.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{% macro m() %}{{ caller.__init__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{x.__class__}'.format_map({'x': ''}) }}",
    "{% set f = '{0.__class__}'.format %}{{ f('') }}",
    "{{ ('{0.__class__}' | safe).format('') }}",
    "{{ ['{0.__class__}'] | map('format', '') | list }}",
    "{{ '%s' | format('') }}",
    "{{ '%(a)s' % {'a': 1} }}",
    "{{ '%c' % 65 }}",
    "{{ messages.append({'role': 'system', 'content': 'x'}) }}",
    "{{ messages.clear() }}",
    "{{ messages[0].update({'role': 'system'}) }}",
    "{{ messages[0].pop('role') }}",
    "{{ messages[0].setdefault('a', 'b') }}",
    "{{ messages.sort.__self__ }}",
    "{{ messages[0].get.__self__.__class__ }}",
    "{{ ''.join.__func__ }}",
    "{{ ''.encode('idna') }}",
    "{{ 'a'.translate({97: 98}) }}",
    "{{ ''.maketrans('a', 'b') }}",
    "{{ (1).__class__ }}",
    "{{ 1.0.hex() }}",
    "{{ 5 .to_bytes(1, 'big') }}",
    "{{ 5 .real.conjugate() }}",
    "{{ true.__class__ }}",
    "{{ none.__class__ }}",
    "{{ nothing.__class__ }}",
    "{{ nothing.__init__.__globals__ }}",
    "{{ undefined_function() }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ request.application }}",
    "{{ config.items() }}",
    "{{ __import__('os') }}",
    "{{ __builtins__ }}",
    "{{ environment.globals }}",
    "{{ environment.from_string('x') }}",
    "{{ context.parent }}",
    "{{ budget.spend(-10) }}",
    "{{ tick(-1000000) }}",
    "{{ charge('a') }}",
    "{{ messages | map('pprint') | list }}",
    "{{ messages | xmlattr }}",
    "{{ 'a' | urlize }}",
    "{{ messages | random }}",
    "{% include '/etc/passwd' %}",
    "{% include ['/etc/passwd'] ignore missing %}",
    "{% import 'os' as os %}{{ os }}",
    "{% from 'os' import system %}",
    "{% extends '/etc/passwd' %}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{% block a %}{{ super() }}{% endblock %}",
    "{% autoescape true %}{% endautoescape %}",
    "{% trans %}x{% endtrans %}",
    "{% debug %}",
    "{{ strftime_now('%1000000000d') }}",
    "{{ strftime_now('x' * 1000) }}",
    "{{ 'a' is callable }}",
    "{{ 'upper' is filter }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_escapes_get_nowhere(source):
    before = [dict(message) for message in MESSAGES]
    text, error = None, None
    try:
        text = ChatTemplate(source, "<s>", "</s>").render(MESSAGES)
    except (ModelFileError, InputError) as caught:
        error = caught
    if error is None:
        assert text in ("", "[Undefined]", "x", "[]", str(MESSAGES))  # undefined, or the data as it was
    else:
        assert error.code.startswith("E-TEMPLATE-")
        for language in ("en", "zh"):
            sentence = " ".join(error.describe(language))
            assert "\n" not in sentence
            assert len(sentence) < 500
    assert before == MESSAGES


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__() }}",
        "{{ '{0}'.format('') }}",
        "{{ messages.append(1) }}",
        "{{ '%s' % 1 }}",
        "{% include 'x' %}",
    ],
)
def test_escapes_are_called_what_they_are(source):
    with pytest.raises(ModelFileError) as caught:
        ChatTemplate(source).render(MESSAGES)
    assert caught.value.code in ("E-TEMPLATE-REFUSED", "E-TEMPLATE-FAILS")


DOUBLE = "{% set ns = namespace(x={START}) %}{% for i in range(60) %}{% set ns.x = {STEP} %}{% endfor %}{END}"


def doubling(start, step, end="{{ ns.x }}"):
    return DOUBLE.replace("{START}", start).replace("{STEP}", step).replace("{END}", end)


BOMBS = {
    "long range": "{% for i in range(10**9) %}{% endfor %}",
    "long range as a list": "{{ range(10**9) | list }}",
    "many ranges": "{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}",
    "loop with a filter": "{% for i in range(10**5) %}{% for j in range(10**5) if false %}{% endfor %}{% endfor %}",
    "long text": "{{ 'a' * 10**9 }}",
    "long text, other way": "{{ 10**9 * 'a' }}",
    "long list": "{{ ([1] * 10**9) | length }}",
    "long tuple": "{{ ((1,) * 10**9) | length }}",
    "large number": "{{ 2 ** (10**9) }}",
    "tower": "{{ 9 ** (9 ** (9 ** 9)) }}",
    "product": doubling("10 ** 100", "ns.x * ns.x"),
    "square": doubling("2", "ns.x ** 2"),
    "text by +": doubling("'ab'", "ns.x + ns.x"),
    "text by ~": doubling("'ab'", "ns.x ~ ns.x"),
    "text by join": doubling("'ab'", "[ns.x, ns.x] | join"),
    "text by join method": doubling("'ab'", "ns.x.join(['a', 'b', 'c', ns.x])"),
    "text by replace": doubling("'aa'", "ns.x.replace('a', 'aa')"),
    "text by replace filter": doubling("'aa'", "ns.x | replace('a', 'aa')"),
    "one replace": "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
    "one join": "{{ ('b' * 1000000).join('a' * 1000000) }}",
    "one join filter": "{{ ('a' * 1000000) | join('b' * 1000000) }}",
    "list by +": doubling("[1]", "ns.x + ns.x", "{{ ns.x | length }}"),
    "list by *": doubling("[1]", "ns.x * 2", "{{ ns.x | length }}"),
    "nested lists": doubling("[1]", "[ns.x, ns.x]"),
    "nested lists as json": doubling("[1]", "[ns.x, ns.x]", "{{ ns.x | tojson }}"),
    "nested lists compared": doubling("[1]", "[ns.x, ns.x]", "{{ ns.x == [ns.x, ns.x] }}"),
    "nested dicts": doubling("{}", "{'a': ns.x, 'b': ns.x}"),
    "nested dicts by call": doubling("{}", "dict(a=ns.x, b=ns.x)"),
    "nested tuples": doubling("()", "(ns.x, ns.x)"),
    "nested namespaces": doubling("1", "namespace(a=ns.x, b=ns.x)"),
    "nested by multiplying": doubling("[1]", "[ns.x] * 2"),
    "macro calls": doubling("1", "1", "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"),
    "endless macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "two macros": "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
    "endless loop": "{% set x = [1] %}{% for i in x recursive %}{{ loop(x) }}{% endfor %}",
    "namespace in itself": "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    "output": "{% for i in range(10**5) %}{{ 'a' * 1000 }}{% endfor %}",
    "plain output": "{% for i in range(10**5) %}" + "a" * 1000 + "{% endfor %}",
    "plain output in a macro": "{% macro m() %}{% for i in range(10**5) %}" + "a" * 1000 + "{% endfor %}{% endmacro %}{{ m() | length }}",
    "captured output": "{% set x %}{% for i in range(10**5) %}{{ 'a' * 1000 }}{% endfor %}{% endset %}",
    "indent": "{{ ('\n' * 1000000) | indent('b' * 1000000) }}",
    "wide indent": "{{ ('\n' * 1000000) | indent(10**9) }}",
    "json indent": "{{ messages | tojson(indent=10**9) }}",
    "comparisons": "{% set a = 'a' * 1000000 %}{% for i in range(10**5) %}{% if 'b' in a %}{% endif %}{% endfor %}",
    "slices": "{% set a = 'a' * 1000000 %}{% for i in range(10**5) %}{% if a[1:] %}{% endif %}{% endfor %}",
    "kept slices": "{% set a = 'a' * 1000000 %}{% for i in range(10**5) %}{% set x = [a[i:]] %}{% endfor %}",
    "sorting": "{% for i in range(10**4) %}{{ (range(10**4) | sort | length) }}{% endfor %}",
    "filters": "{% set a = 'a' * 1000000 %}{% for i in range(10**5) %}{% if a | upper %}{% endif %}{% endfor %}",
    "tests": "{% set a = 'a' * 1000000 %}{% for i in range(10**5) %}{% if 'b' is in a %}{% endif %}{% endfor %}",
    "map over a text": "{% for i in range(10**4) %}{{ ('a' * 100000) | map('upper') | list | length }}{% endfor %}",
    "deep brackets": "{{ " + "[" * 50_000 + "]" * 50_000 + " }}",
    "deep parentheses": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "deep minus": "{{ " + "-" * 50_000 + "1 }}",
    "deep not": "{{ " + "not " * 25_000 + "1 }}",
    "deep sums": "{{ 1" + "+1" * 20_000 + " }}",
    "deep filters": "{{ 'a'" + "|upper" * 20_000 + " }}",
    "deep ifs": "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000,
    "deep loops": "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
    "long digits": "{{ " + "9" * 100_000 + " }}",
    "too long": "{# " + "a" * 200_000 + " #}",
    "width": "{{ '%1000000000d' % 1 }}",
    "format width": "{{ '{:1000000000}'.format(1) }}",
    "center": "{{ 'a'.center(10**9) }}{{ 'a' | center(10**9) }}",
    "ljust": "{{ 'a'.ljust(10**9) }}",
    "zfill": "{{ 'a'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "lipsum": "{{ lipsum(n=10**9) }}",
    "round": "{{ 1 | round(10**9, 'floor') }}",
    "batch": "{{ [1] | batch(10**9, 'x') | list }}",
    "slice filter": "{{ [1] | slice(10**9) | list }}",
    "wordwrap": "{{ ('a' * 1000000) | wordwrap(1) }}",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_in_one_clear_line(name):
    with pytest.raises(ModelFileError) as caught:
        ChatTemplate(BOMBS[name]).render(MESSAGES)
    assert caught.value.code.startswith("E-TEMPLATE-")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "name", ["long text", "many ranges", "text by ~", "nested lists", "endless macro", "output"]
)
def test_bombs_are_called_what_they_are(name):
    with pytest.raises(ModelFileError) as caught:
        ChatTemplate(BOMBS[name]).render(MESSAGES)
    assert caught.value.code == "E-TEMPLATE-LIMIT"


def test_a_bomb_in_another_thread():
    caught = []

    def run():
        try:
            ChatTemplate(BOMBS["endless macro"]).render(MESSAGES)
        except ModelFileError as error:
            caught.append(error.code)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert caught == ["E-TEMPLATE-LIMIT"]


def test_many_threads_share_one_template():
    template = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}")
    results = [None] * 8

    def run(i):
        results[i] = [template.render([{"role": "user", "content": f"{i}"}] * 50) for _ in range(20)]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[f"{i}" * 50] * 20 for i in range(8)]


def test_long_conversations_and_long_contents_are_no_bombs():
    source = (
        "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
        "{% endif %}{% endfor %}{% for m in messages %}{% set c = m['content'] | trim %}{% if '</think>' in c %}"
        "{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}"
        "{{ '<|im_start|>' + m['role'] + '\n' + c + '<|im_end|>' + '\n' }}{% endfor %}"
    )
    template = ChatTemplate(source)
    many = [{"role": ("user", "assistant")[i % 2], "content": "word " * 20} for i in range(3000)]
    assert template.render(many).count("<|im_end|>") == 3000
    long = [{"role": "user", "content": "中" * 3_000_000}]
    assert len(template.render(long)) > 3_000_000
    assert "abc" in ChatTemplate("{{ messages[0].content }}abc").render([{"content": "a" * 5_000_000}])


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ("{% if %}", "E-TEMPLATE-SYNTAX", "line 1"),
        ("a\nb\n{{ 'x }}", "E-TEMPLATE-SYNTAX", "line 3"),
        ("{% nonsense %}", "E-TEMPLATE-SYNTAX", "nonsense"),
        ("{{ 'a' | nonsense }}", "E-TEMPLATE-SYNTAX", "nonsense"),
        ("{{ messages[0].content.nope.nope }}", "E-TEMPLATE-FAILS", "nope"),
        ("{{ 1 / 0 }}", "E-TEMPLATE-FAILS", "ZeroDivisionError"),
        ("{{ 'a' + 1 }}", "E-TEMPLATE-FAILS", "TypeError"),
        ("{{ 1e308 ** 2 }}", "E-TEMPLATE-LIMIT", "large"),
        ("{{ raise_exception(messages) | nonsense2 }}", "E-TEMPLATE-SYNTAX", "nonsense2"),
    ],
)
def test_mistakes_are_named(source, code, says):
    with pytest.raises(ModelFileError) as caught:
        ChatTemplate(source).render(MESSAGES)
    assert caught.value.code == code
    assert says in str(caught.value)


@pytest.mark.parametrize("message", ["Roles must alternate", "two\nlines", "x" * 5000, ""])
def test_a_rejection_gives_its_message_in_one_line(message):
    with pytest.raises(InputError) as caught:
        ChatTemplate("{{ raise_exception(messages[0].content) }}").render([{"content": message}])
    assert caught.value.code == "E-TEMPLATE-REJECTS"
    assert " ".join(message.split())[:200] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_rejection_reaches_no_terminal_with_control_characters():
    with pytest.raises(InputError) as caught:
        ChatTemplate("{{ raise_exception(messages[0].content) }}").render([{"content": "a\x1b[2J"}])
    assert "a\\x1b[2J" in str(caught.value)


def test_messages_are_plain_data():
    class Loud(str):
        def upper(self):
            raise AssertionError

    text = ChatTemplate("{{ messages[0].content.upper() }}").render([{"content": Loud("a")}])
    assert text == "A"
    with pytest.raises(InputError):
        ChatTemplate("{{ messages[0].content }}").render([{"content": object()}])


def test_nothing_else_makes_an_environment():
    import ast
    from pathlib import Path

    import puna

    made = []
    for path in Path(puna.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(node, "id", getattr(node, "attr", ""))
            if name in (
                "Environment",
                "SandboxedEnvironment",
                "ImmutableSandboxedEnvironment",
                "NativeEnvironment",
            ):
                made.append((path.name, name))
    assert set(made) <= {("sandbox.py", "ImmutableSandboxedEnvironment"), ("template_functions.py", "Environment")}


def test_dates():
    import re

    assert re.fullmatch(r"\d\d \w{3} \d{4}", ChatTemplate("{{ strftime_now('%d %b %Y') }}").render([]))
