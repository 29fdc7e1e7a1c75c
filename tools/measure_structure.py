"""How large classes and functions are, who reaches into whose fields, and the like, measured over the syntax trees.

    python -m tools.measure_structure            # the table
    python -m tools.measure_structure --list     # and every offender by name

`tests/unit/test_structure.py` holds the program to the bounds that are given here.
"""

from __future__ import annotations

import argparse
import ast
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLASS_LINES = 300
CLASS_FIELDS = 20
FUNCTION_LINES = 40
FILE_LINES = 600
README_LINES = 130
SIP_FLOORS = 11
"""Modules of voip/sip that import one another in a row, at most."""
TABLES = ("voip/cli/options.py", "voip/fec/tables.py")
"""Files whose functions are tables of arguments or values, one row after the other, and may be longer."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Class:
    """A class of the program, and what its methods assign to `self`."""

    name: str
    where: str
    node: ast.ClassDef
    is_value: bool
    """A frozen dataclass, a named tuple, a protocol or an enumeration: it has no state of its own."""
    is_dataclass: bool
    fields: set[str] = field(default_factory=set)
    initial: set[str] = field(default_factory=set)
    """Those that `__init__` assigns."""
    types: dict[str, str] = field(default_factory=dict)
    """Names of the classes of fields, as far as they are plain to see."""

    @property
    def lines(self) -> int:
        return length(self.node)


@dataclass
class Finding:
    """One place and its figure, by a name that does not change with the line."""

    name: str
    figure: int


# --- reading ----------------------------------------------------------------------------------------------------------


def program() -> list[Path]:
    """The files of the program itself."""
    return [*sorted((ROOT / "voip").rglob("*.py")), ROOT / "sender.py", ROOT / "receiver.py"]


def around() -> list[Path]:
    """Tests and tools."""
    return [*sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "tools").rglob("*.py"))]


@functools.cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def length(node: ast.ClassDef | Function) -> int:
    """Lines from `class` or `def` to the end, without decorators."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def functions(root: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function, ast.ClassDef | None]]:
    """Every function with its qualified name and, of a method, its class."""
    for node in ast.iter_child_nodes(root):
        if isinstance(node, Function):
            owner = root if isinstance(root, ast.ClassDef) else None
            yield prefix + node.name, node, owner
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def last_name(node: ast.expr | None) -> str:
    """`c` of `a.b.c`, of `c | None`, of `"c"` and of `c(...)`; empty if it is nothing of the kind."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return last_name(function)
        case ast.BinOp(left=left, op=ast.BitOr()):
            return last_name(left)
        case ast.Constant(value=str(text)) if text.replace(".", "").isidentifier():
            return text.rsplit(".", 1)[-1]
    return ""


def targets(node: ast.AST) -> list[ast.expr]:
    """What a statement assigns to, tuples taken apart."""
    found: list[ast.expr] = []
    match node:
        case ast.Assign(targets=several):
            found = [*several]
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            found = [target]
    return [
        part for target in found for part in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
    ]


def inner(function: Function) -> Iterator[ast.AST]:
    """All of a function but the functions and classes within."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, Function | ast.ClassDef):
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


@functools.cache
def classes() -> dict[str, Class]:
    """The classes of the program by name; of two with one name the larger."""
    found: dict[str, Class] = {}
    for file in program():
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ClassDef):
                described = describe(node, name_of(file))
                if node.name not in found or found[node.name].lines < described.lines:
                    found[node.name] = described
    return found


def describe(node: ast.ClassDef, where: str) -> Class:
    """What a class is, and which fields it has."""
    decorators = [decorator for decorator in node.decorator_list if last_name(decorator) == "dataclass"]
    frozen = any(
        isinstance(decorator, ast.Call)
        and any(word.arg == "frozen" and ast.unparse(word.value) == "True" for word in decorator.keywords)
        for decorator in decorators
    )
    bases = {last_name(base) for base in node.bases}
    is_value = frozen or bool(bases & {"NamedTuple", "Protocol", "Enum", "IntEnum", "Flag", "StrEnum"})
    found = Class(node.name, where, node, is_value, bool(decorators))
    if decorators:
        found.fields |= {
            part.target.id
            for part in node.body
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
            if last_name(part.annotation) != "ClassVar"
        }
    for _, method, owner in functions(node):
        if owner is not None:
            _read_method(found, method)
    return found


def _read_method(described: Class, method: Function) -> None:
    arguments = [*method.args.posonlyargs, *method.args.args]
    if not arguments:
        return
    me = arguments[0].arg
    known = argument_types(method)
    for node in ast.walk(method):
        for target in targets(node):
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == me:
                described.fields.add(target.attr)
                if method.name in ("__init__", "__post_init__"):
                    described.initial.add(target.attr)
                if kind := _type_of_value(node, known):
                    described.types.setdefault(target.attr, kind)


def argument_types(function: Function) -> dict[str, str]:
    """Arguments by the names of their classes."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return {argument.arg: last_name(argument.annotation) for argument in arguments}


def _type_of_value(node: ast.AST, known: dict[str, str]) -> str:
    match node:
        case ast.AnnAssign(annotation=annotation):
            return last_name(annotation)
        case ast.Assign(value=ast.Call() as call):
            return last_name(call)
        case ast.Assign(value=ast.Name(id=name)):
            return known.get(name, "")
    return ""


# --- what is measured -------------------------------------------------------------------------------------------------


@functools.cache
def class_lines() -> list[Finding]:
    return [Finding(f"{found.where} {found.name}", found.lines) for found in classes().values()]


@functools.cache
def class_fields() -> list[Finding]:
    """Instance fields: what methods assign to `self`, and the fields of dataclasses that are not frozen."""
    return [Finding(f"{it.where} {it.name}", len(it.fields)) for it in classes().values() if not it.is_value]


@functools.cache
def function_lines() -> list[Finding]:
    return [
        Finding(f"{name_of(file)} {name}", length(node))
        for file in program()
        if name_of(file) not in TABLES
        for name, node, _ in functions(tree(file))
    ]


@functools.cache
def file_lines() -> list[Finding]:
    return [Finding(name_of(file), file.read_text(encoding="utf-8").count("\n")) for file in [*program(), *around()]]


@functools.cache
def super_calls() -> list[Finding]:
    """`super()` in signalling and in the control of calls: parts are put together there, not inherited.

    Exceptions are exempt; so are transactions, which are no part of a call: four state machines of RFC 3261 section 17
    that share their matching and their timers.
    """
    return [
        Finding(f"{name_of(file)} {name}", count)
        for file in program()
        if name_of(file).startswith(("voip/sip/", "voip/calls/")) and name_of(file) != "voip/sip/transaction.py"
        for name, node, owner in functions(tree(file))
        if owner is None or not any(last_name(base).endswith(("Error", "Exception")) for base in owner.bases)
        if (count := sum(isinstance(part, ast.Call) and last_name(part.func) == "super" for part in inner(node)))
    ]


@functools.cache
def outside_assignments() -> list[Finding]:
    """`a.b = ...` where `a` is another object, and `b` a field that its class sets on itself in `__init__`.

    Records (dataclasses) may be filled by others, and an object by the function that creates it. Where the class of `a`
    is not plain to see, `b` counts if a class that is no dataclass has such a field, and no record has.
    """
    records = {name for it in classes().values() if it.is_dataclass and not it.is_value for name in it.fields}
    common = {name for it in classes().values() if not it.is_dataclass for name in it.initial} - records
    found: dict[str, int] = {}
    for file in program():
        for name, function, owner in functions(tree(file)):
            for target in _foreign(function, owner):
                kind = _class_of(target.value, function, owner)
                fields = common if kind is None else set() if kind.is_dataclass else kind.fields
                if target.attr in fields:
                    key = f"{name_of(file)} {name}: {ast.unparse(target)}"
                    found[key] = found.get(key, 0) + 1
    return [Finding(key, count) for key, count in found.items()]


def _foreign(function: Function, owner: ast.ClassDef | None) -> Iterator[ast.Attribute]:
    """Targets of assignments in a function that are fields of other objects than its own and those it creates."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    own = {arguments[0].arg} if owner is not None and arguments else set()
    for node in inner(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=callee)) if _creates(callee):
                own.add(name)
    for node in inner(function):
        for target in targets(node):
            if isinstance(target, ast.Attribute) and not (
                isinstance(target.value, ast.Name) and target.value.id in own | {"self", "cls"}
            ):
                yield target


def _creates(callee: ast.expr) -> bool:
    """Whether this is a constructor: a class, its class method, or a copy."""
    owner = last_name(callee.value) if isinstance(callee, ast.Attribute) else ""
    made = last_name(callee)
    return made[:1].isupper() or owner[:1].isupper() or owner == "cls" or made in ("cls", "replace")


def _class_of(node: ast.expr, function: Function, owner: ast.ClassDef | None) -> Class | None:
    """The class of `argument` or `self.field`, where an annotation or a constructor says it."""
    match node:
        case ast.Name(id=name):
            return classes().get(argument_types(function).get(name, ""))
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if owner is not None and owner.name in classes():
            return classes().get(classes()[owner.name].types.get(name, ""))
    return None


def floors(package: str) -> list[str]:
    """The longest row of modules of a package each of which imports the next; imports for types alone do not count."""
    files = {f"{package}.{file.stem}": file for file in (ROOT / package.replace(".", "/")).glob("*.py")}
    files.pop(f"{package}.__init__", None)
    uses = {name: {used for used in imports(tree(file)) if used in files} - {name} for name, file in files.items()}

    @functools.cache
    def row(name: str) -> tuple[str, ...]:
        return (name, *max((row(used) for used in uses[name]), key=len, default=()))

    return [*max((row(name) for name in files), key=len, default=())]


def imports(root: ast.AST) -> Iterator[str]:
    """Modules that are imported when the program runs; of `from a import b` both `a` and `a.b`."""
    for node in ast.iter_child_nodes(root):
        match node:
            case ast.If(test=test) if last_name(test) == "TYPE_CHECKING":
                continue
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
        yield from imports(node)


@functools.cache
def gilbert_channels() -> list[Finding]:
    """Functions of tests and tools in which a state decides on the chance by which that state changes."""
    return [
        Finding(f"{name_of(file)} {name}", 1)
        for file in around()
        if "random" in file.read_text(encoding="utf-8")
        for name, function, _ in functions(tree(file))
        if is_gilbert(function)
    ]


def is_gilbert(function: Function) -> bool:
    """Whether a state chooses the chance that a random number is compared with, or a draw turns a state round."""
    parts = [*inner(function)]
    assigned = {ast.unparse(target) for node in parts for target in targets(node)}
    for node in parts:
        match node:
            case ast.Compare() if _draws(node):
                if any(isinstance(part, ast.IfExp) and _state(part.test) in assigned for part in ast.walk(node)):
                    return True
            case ast.IfExp() | ast.If() if _state(node.test) in assigned and _draws(node):
                return True
            case ast.If() if _draws(node.test) and any(_turns(part) for part in ast.walk(node)):
                return True
    return False


def _draws(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Call) and last_name(part.func) == "random" for part in ast.walk(node))


def _state(test: ast.expr) -> str:
    return ast.unparse(test.operand if isinstance(test, ast.UnaryOp) else test)


def _turns(node: ast.AST) -> bool:
    match node:
        case ast.Assign(targets=[target], value=ast.UnaryOp(op=ast.Not(), operand=operand)):
            return ast.unparse(target) == ast.unparse(operand)
    return False


@functools.cache
def readme_lines() -> list[Finding]:
    return [Finding("README.md", (ROOT / "README.md").read_text(encoding="utf-8").count("\n"))]


@dataclass(frozen=True)
class Measure:
    """What is measured, and the most that is allowed of each place; or, with `one`, that there is exactly one place."""

    title: str
    find: Callable[[], list[Finding]]
    most: int
    one: bool = False

    def offenders(self) -> list[Finding]:
        """The places that are over the bound, largest first."""
        found = sorted(self.find(), key=lambda finding: (-finding.figure, finding.name))
        if self.one:
            return [] if len(found) == 1 else found
        return [finding for finding in found if finding.figure > self.most]


@functools.cache
def _sip_floors() -> list[Finding]:
    return [Finding("voip/sip", len(floors("voip.sip")))]


MEASURES = {
    "class lines": Measure(f"classes over {CLASS_LINES} lines", class_lines, CLASS_LINES),
    "class fields": Measure(f"classes over {CLASS_FIELDS} instance fields", class_fields, CLASS_FIELDS),
    "function lines": Measure(f"functions over {FUNCTION_LINES} lines", function_lines, FUNCTION_LINES),
    "file lines": Measure(f"files over {FILE_LINES} lines", file_lines, FILE_LINES),
    "super": Measure("functions with super() in the classes of calls", super_calls, 0),
    "outside assignments": Measure("fields of others assigned", outside_assignments, 0),
    "sip floors": Measure(f"voip/sip over {SIP_FLOORS} floors of imports", _sip_floors, SIP_FLOORS),
    "gilbert": Measure("Gilbert channels beside the one", gilbert_channels, 1, one=True),
    "readme lines": Measure(f"README over {README_LINES} lines", readme_lines, README_LINES),
}


# --- the command ------------------------------------------------------------------------------------------------------


def table(*, names: bool) -> Iterable[str]:
    """A line for each measure: how many offend, the largest figure; with `names` each of them below."""
    yield f"{'measure':52}{'over':>6}{'largest':>9}"
    for measure in MEASURES.values():
        everything = measure.find()
        offenders = measure.offenders()
        largest = len(everything) if measure.one else max((finding.figure for finding in everything), default=0)
        yield f"{measure.title:52}{len(offenders):>6}{largest:>9}"
        if names:
            yield from (f"    {finding.figure:>5}  {finding.name}" for finding in offenders)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measure_structure", description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="name every offender")
    options = parser.parse_args()
    for line in table(names=options.list):
        sys.stdout.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
