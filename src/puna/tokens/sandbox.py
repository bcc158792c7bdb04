"""The one place where a Jinja environment is made: for templates that come with model files, thus from anyone.

Only plain data and a short list of functions, methods, filters and tests can be reached. Loop turns, calls,
filters, comparisons, joined texts and output are paid for from a budget, by size, so that a template that does
too much stops after the same count on every machine.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from puna.tokens import template_functions as functions
from puna.tokens.budget import BUDGET, LimitError, charge, tick, walk

_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        "strip lstrip rstrip split rsplit splitlines partition rpartition startswith endswith find rfind index "
        "count upper lower title capitalize swapcase casefold replace removeprefix removesuffix join isdigit "
        "isdecimal isnumeric isalpha isalnum isspace isupper islower istitle".split()
    ),
    dict: frozenset({"get", "items", "keys", "values", "copy"}),
    list: frozenset({"index", "count", "copy"}),
    tuple: frozenset({"index", "count"}),
    LoopContext: frozenset({"cycle", "changed"}),
}
_FILTERS = (
    "abs capitalize count d default dictsort first float int items last length list lower map max min reject "
    "rejectattr reverse select selectattr sort string title trim unique upper"
).split()
_TESTS = (
    "== != < <= > >= boolean defined divisibleby eq equalto even false float ge greaterthan gt in integer iterable "
    "le lessthan lower lt mapping ne none number odd sameas sequence string true undefined upper"
).split()
_INT_BITS = 4096


def _priced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a filter or test pay for what it is given and for what it gives."""

    @wraps(function)  # keeps the mark that tells Jinja to pass its context
    def pay(*arguments: Any, **named: Any) -> Any:
        for value in (*arguments, *named.values()):
            charge(value)
        return charge(function(*arguments, **named))

    return pay


@pass_context  # with it, Jinja evaluates no output while compiling, where there is no budget yet
def _finalize(_: Context, value: Any) -> Any:
    return charge(value)


class SandboxedTemplates(ImmutableSandboxedEnvironment):
    """The environment of chat templates: Transformers' names and white space, and the walls above."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    charge = staticmethod(charge)
    tick = staticmethod(tick)
    walk = staticmethod(walk)
    join_all = staticmethod(functions.join_all)

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, _Generation],
            finalize=_finalize,
            optimized=False,  # folding constants would run the template's sums while compiling
            cache_size=0,
        )
        named = functions.FILTERS | {name: FILTERS[name] for name in _FILTERS}
        known_tests: dict[str, Any] = TESTS
        self.filters = {name: _priced(function) for name, function in named.items()}
        self.tests = {name: _priced(known_tests[name]) for name in _TESTS}
        self.globals = dict(functions.GLOBALS)
        self._payments = (self.charge, self.tick, self.walk, self.join_all)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _Payments().visit(tree)
        tree.set_environment(self)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Let a template read plain data, a loop's state and the listed methods, and nothing else."""
        if attr.startswith("_"):
            return False
        if type(obj) is Namespace or (type(obj) is LoopContext and not callable(value)):
            return True
        return attr in _METHODS.get(type(obj), ())

    def is_safe_callable(self, obj: Any) -> bool:
        """Let a template call its own macros, the listed methods and the listed functions."""
        if type(obj) in (Macro, LoopContext):
            return True
        owner = getattr(obj, "__self__", None)
        if getattr(obj, "__name__", "") in _METHODS.get(type(owner), ()):
            return True
        return any(obj is known for known in functions.GLOBALS.values())

    def call(self, context: Context, obj: Any, /, *arguments: Any, **named: Any) -> Any:
        """Make a call that a template asks for, if it may, and charge for it."""
        if any(obj is payment for payment in self._payments):
            return obj(*arguments)
        if not self.is_safe_callable(obj):
            raise SecurityError("a call of something that is no listed function")
        charge([arguments, named])
        owner = getattr(obj, "__self__", None)
        if isinstance(owner, str):
            arguments = functions.check_method(owner, obj.__name__, arguments)
        return charge(context.call(obj, *arguments, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do a sum that a template asks for, unless it would be too large, and charge for it."""
        charge([left, right])
        if operator == "%" and isinstance(left, str):
            raise SecurityError("% on text")
        for many, times in ((left, right), (right, left)):
            if operator == "*" and isinstance(many, str | list | tuple) and isinstance(times, int):
                BUDGET.get().check(len(many) * times)
                BUDGET.get().spend(0 if isinstance(many, str) else max(len(many) * times, 0))
        if isinstance(left, int) and isinstance(right, int):
            power = operator == "**"
            bits = left.bit_length() * max(right, 1) if power else left.bit_length() + right.bit_length()
            if bits > _INT_BITS:
                raise LimitError("its numbers grow too large")
        return charge(super().call_binop(context, operator, left, right))


class _Generation(Extension):
    """Lets `{% generation %}` pass, by which templates mark the assistant's text for training."""

    tags = {"generation"}  # noqa: RUF012  # Jinja's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Give the block's body as it is."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Payments(NodeTransformer):
    """Writes the payments into a parsed template, for what the environment does not see at run time."""

    def _body(self, node: nodes.For | nodes.Macro | nodes.CallBlock) -> nodes.Node:
        self.generic_visit(node)
        written = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        node.body.insert(0, nodes.ExprStmt(_call("tick", nodes.Const(1 + written // 64))))
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        node.iter = _call("walk", node.iter)
        return self._body(node)

    visit_Macro = visit_CallBlock = _body

    def _literal(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        return node if getattr(node, "ctx", "load") != "load" else _call("charge", node)

    visit_List = visit_Dict = visit_Tuple = _literal

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("join_all", *node.nodes)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _call("charge", node.expr)
        for operand in node.ops:
            operand.expr = _call("charge", operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _call("charge", node) if isinstance(node.arg, nodes.Slice) else node

    def _refuse(self, node: nodes.Node) -> nodes.Node:
        raise SecurityError("another template")

    visit_Include = visit_Import = visit_FromImport = visit_Extends = _refuse


def _call(name: str, *arguments: Any) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), list(arguments), [], None, None)
