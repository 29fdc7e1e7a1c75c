"""--version: this program, and the libraries that it works with here."""

from __future__ import annotations

import importlib.metadata
import platform
import ssl
from collections.abc import Callable

import voip
from voip.codecs import libopus
from voip.devices.portaudio import library_version
from voip.errors import VoipError
from voip.jitter import playout

PACKAGES = {
    "numpy": "numpy",
    "soxr": "soxr",
    "PyAudio": "PyAudio",
    "av": "av",
    "G722": "G722",
    "dnspython": "dnspython",
    "pylibsrtp": "pylibsrtp",
    "pyOpenSSL": "pyOpenSSL",
    "spake2": "spake2",
    "zeroconf": "zeroconf",
    "aiohttp": "aiohttp",
    "SQLAlchemy": "SQLAlchemy",
    "alembic": "alembic",
    "psycopg": "psycopg",
}
"""Libraries of Python by the names that people know, and by those of their distributions."""
MISSING = "not installed"


def versions(program: str) -> list[str]:
    """Lines: the program, then each library with its version, or that it is missing."""
    found: dict[str, Callable[[], str | None]] = {
        "Python": lambda: f"{platform.python_version()} on {platform.platform(terse=True)}",
        "libopus": _opus,
        "PortAudio": library_version,
        "OpenSSL": lambda: ssl.OPENSSL_VERSION,
    }
    lines = [f"{program} {voip.__version__}{', compiled' if _is_compiled() else ''}"]
    lines += [f"  {name:10}{look() or MISSING}" for name, look in found.items()]
    return lines + [f"  {name:10}{_package(package) or MISSING}" for name, package in PACKAGES.items()]


def _is_compiled() -> bool:
    """Whether the path of the media is machine code (`tools/compile.py`)."""
    return not str(playout.__file__).endswith(".py")


def _package(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _opus() -> str | None:
    try:
        return libopus.version()
    except VoipError:
        return None
