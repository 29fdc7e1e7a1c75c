"""The parser of both command lines: errors of one line, --help in one screen, values from the environment.

An option that is not given takes its value from the environment variable VOIP_ and its name (`--fec-max` is
VOIP_FEC_MAX), if that is set, else its default.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from voip.errors import EXIT_OK, EXIT_USAGE
from voip.printable import printable

WIDTH = 80
"""Columns of the help."""
NAMES_WIDTH = 26
"""Columns of an option's names, before what it does."""
NEAR = 0.7
"""How like a known name (0 to 1, as `difflib` measures) an unknown one must be to be taken for a slip."""
NEAR_VARIABLE = 0.8
"""The same of environment variables, which all begin with the same five letters."""
ENVIRONMENT_PREFIX = "VOIP_"
MORE_VARIABLES = frozenset(
    ENVIRONMENT_PREFIX + name
    for name in (
        "PASSWORD",
        "ALLOW",
        "ALLOW_ONLY",
        "ANNOUNCE",
        "ANSWER",
        "CONFERENCE",
        "CONNECT_TIMEOUT",
        "DATABASE",
        "DTMF",
        "DURATION",
        "FROM",
        "HTTP",
        "MAX_CALLS",
        "MESSAGE",
        "ONCE",
        "OUTPUT_PER_CALLER",
        "REALM",
        "RETRY",
        "TARGETS_FILE",
        "TOKEN_FILE",
    )
)
"""What is no option, and the options of one program alone, which the environment of all may hold."""
TRUE, FALSE = ("1", "yes", "true", "on"), ("0", "no", "false", "off", "")
"""What a boolean of the environment may be."""

Group = argparse._ArgumentGroup


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line that name the nearest known option, a short help and a full one."""

    def __init__(
        self,
        program: str,
        description: str,
        *,
        examples: Sequence[str],
        daily: Sequence[str],
        knows_all_variables: bool = True,
    ) -> None:
        """`daily`: the options that the short help shows, by their fields. `knows_all_variables`: one that it does not
        know is a slip, and said to be one."""
        super().__init__(prog=program, description=description, allow_abbrev=False, add_help=False)
        self._examples, self._daily, self._knows_all = examples, daily, knows_all_variables
        self._from_environment: dict[str, Any] = {}
        self._positionals.title, self._optionals.title = "what", "help"
        self.add_argument("-h", "--help", action=_ShowHelp, help="Show the options of daily use.")
        self.add_argument("--help-all", action=_ShowHelp, help="Show all options, and what the exit codes mean.")

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"unrecognized arguments: (\S+)", message)
        if wrong is not None:
            near = self._nearest(wrong[1].partition("=")[0])
            message = f"unknown option {wrong[1]}" + (f", did you mean {near}?" if near else "")
        print(printable(f"{self.prog}: {message} (see {self.prog} --help)"), file=sys.stderr)
        sys.exit(EXIT_USAGE)

    def _nearest(self, name: str) -> str | None:
        known = {option.lstrip("-"): option for action in self._actions for option in action.option_strings}
        near = difflib.get_close_matches(name.lstrip("-"), known, n=1, cutoff=NEAR)
        return known[near[0]] if near else None

    # --- the environment ------------------------------------------------------------------------------------------

    def parse(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """The options as given, or as the environment has them. Exits for a wrong one, and for --help."""
        variables = sorted(name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX))
        if variables and self._knows_all:
            self._warn_of_unknown(variables)
        settable = [action for action in self._actions if _variable(action) in variables] if variables else []
        for action in settable:
            self._from_environment[action.dest] = self._environment_value(action, os.environ[_variable(action)])
            if not isinstance(action, argparse._AppendAction):  # what is given would be added to a default
                action.default = self._from_environment[action.dest]
        found = self.parse_intermixed_args(argv)  # options may stand between several targets
        self._refuse_dashes(found)
        for action in settable:
            if getattr(found, action.dest) is None:
                setattr(found, action.dest, self._from_environment[action.dest])
        return found

    def _refuse_dashes(self, found: argparse.Namespace) -> None:
        """One line for `--option=--`: Python before 3.13 takes that value for the end of the options, and gives an
        empty list in its place."""
        for action in self._actions:
            value = getattr(found, action.dest, None)
            if action.nargs is not None or value is action.default:
                continue
            if value == [] or (isinstance(value, list) and [] in value):
                self.error(f"argument {'/'.join(action.option_strings)}: expected one argument")

    def _warn_of_unknown(self, variables: Sequence[str]) -> None:
        """One line for what is no option of either script: it would be ignored in silence otherwise."""
        known = {*MORE_VARIABLES, *filter(None, map(_variable, self._actions))}
        unknown = [name for name in variables if name not in known]
        if not unknown:
            return
        told = []
        for name in unknown:
            near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR_VARIABLE)
            told.append(name + (f" (did you mean {near[0]}?)" if near else ""))
        print(printable(f"{self.prog}: not an option, ignored: {', '.join(told)}"), file=sys.stderr)

    def is_from_environment(self, found: argparse.Namespace, name: str) -> bool:
        """Whether the value was not given, but is that of the environment."""
        return name in self._from_environment and getattr(found, name) is self._from_environment[name]

    def _environment_value(self, action: argparse.Action, text: str) -> Any:  # noqa: ANN401 -- of any option
        name = _variable(action)
        if isinstance(action, argparse.BooleanOptionalAction):
            if text.lower() not in TRUE + FALSE:
                self.error(f"{name}={text!r}: write 1 or 0")
            return text.lower() in TRUE
        convert = int if isinstance(action, argparse._CountAction) else action.type or str
        assert callable(convert)
        texts = text.split() if isinstance(action, argparse._AppendAction) else [text]
        try:
            values = [convert(each) for each in texts]
        except (argparse.ArgumentTypeError, ValueError) as error:
            self.error(f"{name}={text!r}: {error}")
        if action.choices is not None and not {*values} <= {*action.choices}:
            self.error(f"{name}={text!r}: write {' or '.join(map(str, action.choices))}")
        return values if isinstance(action, argparse._AppendAction) else values[0]

    # --- help -----------------------------------------------------------------------------------------------------

    def short_help(self) -> str:
        """One screen: usage, examples, the options of daily use."""
        actions = {action.dest: action for action in self._actions}
        lines = [*self._usage(), "", *(f"  {example}" for example in self._examples), ""]
        for name in self._daily:
            lines += _described(actions[name], _first_sentence(actions[name].help or ""))
        return "\n".join([*lines, "", f"All options and exit codes: {self.prog} --help-all"])

    def full_help(self) -> str:
        """All options by group, and the exit codes."""
        lines = self._usage()
        for group in self._action_groups:
            if group._group_actions:
                lines += ["", f"{group.title}:"]
                for action in group._group_actions:
                    lines += _described(action, action.help or "")
        return "\n".join([*lines, "", *textwrap.wrap(self.epilog or "", WIDTH)])

    def _usage(self) -> list[str]:
        positional = next((action for action in self._actions if not action.option_strings), None)
        more = " ..." if positional is not None and positional.nargs == "*" else ""
        what = "" if positional is None else f" [{positional.metavar}{more}]"
        return [f"usage: {self.prog} [OPTIONS]{what}", f"{self.description}"]


class _ShowHelp(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        assert isinstance(parser, Parser)
        print(parser.full_help() if "--help-all" in self.option_strings else parser.short_help())
        parser.exit(EXIT_OK)


def _variable(action: argparse.Action) -> str:
    """The environment variable of an option; "" for what is asked on the command line alone."""
    long = next((name for name in action.option_strings if name.startswith("--")), "")
    asks = action.nargs == 0 and not isinstance(action, argparse.BooleanOptionalAction | argparse._CountAction)
    return "" if asks or not long else ENVIRONMENT_PREFIX + long.strip("-").replace("-", "_").upper()


def _described(action: argparse.Action, text: str) -> list[str]:
    """The lines of one option: its names, and beside them what it does."""
    if isinstance(action, argparse.BooleanOptionalAction):
        names = [name for name in action.option_strings if not name.startswith("--no-")]
        names = [name.replace("--", "--[no-]", 1) for name in names]
    else:
        names = list(action.option_strings)
    if not names:
        names = [str(action.metavar)]
    elif action.nargs is None:
        metavar = action.metavar or "|".join(map(str, action.choices or ()))
        names[-1] += f" {metavar}"
    elif action.nargs == "?":
        names[-1] += f" [{action.metavar}]"
    indent = "" if not action.option_strings or action.option_strings[0][1] != "-" else "    "
    head = f"  {indent}{', '.join(names)}"
    body = textwrap.wrap(text, WIDTH - NAMES_WIDTH - 1, break_on_hyphens=False)
    if len(head) < NAMES_WIDTH and body:
        return [f"{head:{NAMES_WIDTH}}{body[0]}", *(" " * NAMES_WIDTH + line for line in body[1:])]
    return [head, *(" " * NAMES_WIDTH + line for line in body)]


def _first_sentence(text: str) -> str:
    """What an option does, and its default, without the details in between."""
    first, _, rest = text.partition(". ")
    default = re.search(r"\[[^\[\]]*\]$", text)
    return first + (f".  {default[0]}" if rest and default else "." if rest else "")
