"""Our account, and the accounts of callers: users, passwords, registrar and proxies, from the command line.

A password is never an argument, which every user of the machine can read: it is in a file or in VOIP_PASSWORD. Without
a user it is one that both sides of a call share.
"""

from __future__ import annotations

import argparse
import getpass
import os
import platform
from pathlib import Path
from typing import Any

from voip.cli.values import RtpTarget, sip_host
from voip.sip import Credentials, SipUri, parse_target
from voip.sip.identity import ANONYMOUS, user_part

NAMES_OF_NOBODY = ("root", "nobody", "administrator", "system", "user")
"""Accounts of the machine that do not say whose they are, as those of containers: its own name says more."""
PASSWORD_VARIABLE = "VOIP_PASSWORD"

Group = argparse._ArgumentGroup


def add_account(group: Group, *, answers: bool) -> None:
    """The options; `answers`: of a program that takes calls, and may demand a password of callers."""
    user = "Account name at the registrar, and for digest authentication."
    file = (
        "File with the password on its first line. Without --user it is shared by both sides of a call: each proves to "
        "the other that it knows it, and only they can listen."
    )
    if answers:
        user = "Account name at the registrar; without a registrar, the name that callers must use."
        file += (
            " With --user, and without --registrar, callers must use it; or, without --user, one of its lines "
            f"user:password. The environment may have the password instead, as {PASSWORD_VARIABLE}."
        )
    group.add_argument("--user", metavar="U", help=user)
    group.add_argument("--password-file", metavar="FILE", help=file)
    group.add_argument("--registrar", metavar="HOST[:PORT]", type=sip_host, help="Register as --user at this server.")
    group.add_argument(
        "--proxy",
        metavar="URI",
        type=sip_host,
        action="append",
        help="Outbound proxy for INVITE and REGISTER. Several are used in this order.",
    )


def account_values(parser: argparse.ArgumentParser, found: argparse.Namespace, *, answers: bool) -> dict[str, Any]:
    """What the options say, as fields of the options' dataclasses; usage errors exit."""
    values: dict[str, Any] = {
        "registrar": found.registrar,
        "proxies": tuple(found.proxy or ()),
        "user": default_user("" if answers else shown_name(found)),
        "account": None,
        "credentials": None,
    }
    lines = _lines(parser, found)
    if found.registrar is not None:
        if not found.user:
            parser.error("--registrar requires --user")
        home = found.registrar
        values["account"] = SipUri(home.scheme, _written(parser, found.user), home.host, home.port)
    values["call_password"] = _call_password(parser, found, lines)
    if values["call_password"] is not None:
        lines = None
    if answers:
        values["users"] = _users(parser, found.user, lines) if found.registrar is None else {}
    if found.registrar is not None or not answers:
        values["credentials"] = _credentials(parser, found, lines)
        if found.user:
            values["user"] = _written(parser, found.user)
    return values


def shown_name(found: argparse.Namespace) -> str:
    """The name that a sender shows its peers: as they are told, else as the directory knows it."""
    return str(found.name or found.directory_name or "")


def default_user(shown: str) -> str:
    """The user part of our SIP address without an account: the name that is shown to the peer, else that of the user
    of this machine, else that of the machine."""
    try:
        login = getpass.getuser()
    except (ImportError, KeyError, OSError):  # no such variable, and no entry for this number
        login = ""
    host = platform.node().partition(".")[0]
    names = [shown, "" if login.lower() in NAMES_OF_NOBODY else login, host, login]
    return next((user for user in map(user_part, names) if user), ANONYMOUS)


def complete(target: SipUri | RtpTarget, registrar: SipUri | None) -> SipUri | RtpTarget:
    """With a registrar, a name alone (`bob`) is a user there, not a host."""
    if isinstance(target, RtpTarget):
        return target
    bare = target.user is None and target.port is None and not target.params and target.scheme == "sip"
    if registrar is None or not bare or any(mark in target.host for mark in ".:") or target.host == "localhost":
        return target
    return SipUri(registrar.scheme, target.host, registrar.host, registrar.port, dict(registrar.params))


def _credentials(
    parser: argparse.ArgumentParser, found: argparse.Namespace, lines: list[str] | None
) -> Credentials | None:
    """User and password; None without a user."""
    if found.user is None:
        return None
    if lines is None:
        if found.registrar is None:
            parser.error(f"--user requires --password-file, or {PASSWORD_VARIABLE} in the environment")
        return None
    return Credentials(found.user, lines[0])


def _call_password(parser: argparse.ArgumentParser, found: argparse.Namespace, lines: list[str] | None) -> str | None:
    """What both sides of a call share: the password of nobody, in a file that names no users."""
    if lines is None or found.user is not None or any(":" in line for line in lines):
        return None
    if len(lines) > 1:
        parser.error("without --user, a password file has one line, or each line is user:password")
    return lines[0].strip()


def _users(parser: argparse.ArgumentParser, user: str | None, lines: list[str] | None) -> dict[str, str]:
    """Passwords of callers by name; empty: none needed, --allow decides."""
    if lines is None:
        if user is not None:
            parser.error(f"--user requires --password-file, {PASSWORD_VARIABLE} in the environment, or --registrar")
        return {}
    if user is not None:
        return {user: lines[0]}
    users = dict(line.split(":", 1) for line in lines if ":" in line)
    if len(users) < len(lines) or not all(users.values()):
        parser.error("without --user, each line of the password file must be user:password")
    return users


def _lines(parser: argparse.ArgumentParser, found: argparse.Namespace) -> list[str] | None:
    """The lines of the password file that are not blank, or of the environment; None without either."""
    if found.password_file is None:
        text = os.environ.get(PASSWORD_VARIABLE, "")
        if not text:
            return None
        source = PASSWORD_VARIABLE
    else:
        source = f"--password-file {found.password_file}"
        try:
            text = Path(found.password_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            parser.error(f"{source}: {getattr(error, 'strerror', 'not a text file')}")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        parser.error(f"{source}: contains no password")
    return lines


def _written(parser: argparse.ArgumentParser, user: str) -> str:
    """A user name as it is written in a SIP address, escaped."""
    try:
        return parse_target(f"{user}@localhost").user or ANONYMOUS
    except ValueError:
        parser.error(f"--user {user!r} is not a valid user of a SIP address")
