"""What a fuzz target is: a function of bytes, and the inputs that it begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from voip.errors import ProtocolError

Given = ParamSpec("Given")
Found = TypeVar("Found")

CORPUS = Path(__file__).parent / "corpus"
"""Inputs that fuzzing has found worth keeping, a folder for each target; those that once failed among them."""
VECTORS = Path(__file__).resolve().parents[1] / "vectors"


@dataclass(frozen=True)
class Target:
    """`run` returns, whatever the bytes: it lets through what is declared, and raises what is a bug."""

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    longest: int = 4096
    """Bytes of an input at most."""
    kept: int = 60
    """Inputs in the repository at most: each is a test."""

    def inputs(self) -> Iterator[bytes]:
        """The seeds, and what is kept in the repository."""
        yield from self.seeds()
        for file in sorted((CORPUS / self.name).glob("*")):
            yield file.read_bytes()


def read(parse: Callable[Given, Found], *given: Given.args, **more: Given.kwargs) -> Found | None:
    """What a parser finds; None where it raises what is declared. What is done with that is not to raise the same."""
    try:
        return parse(*given, **more)
    except ProtocolError:
        return None


def files(*patterns: str) -> Sequence[bytes]:
    """The contents of these test vectors."""
    return [path.read_bytes() for pattern in patterns for path in sorted(VECTORS.glob(pattern)) if path.is_file()]


def hex_lines(*names: str) -> Sequence[bytes]:
    """The packets in these test vectors, which hold one in hexadecimal on each line."""
    lines = [line for name in names for line in (VECTORS / name).read_text(encoding="utf-8").split("\n")]
    return [bytes.fromhex(word) for line in lines for word in line.split()[-1:] if len(word) > 16 and _is_hex(word)]


def _is_hex(text: str) -> bool:
    return len(text) % 2 == 0 and not set(text.lower()) - set("0123456789abcdef")


def pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut an input into a control octet and the bytes that go with it: two octets of length come after the control."""
    place = 0
    while place + 3 <= len(data):
        length = int.from_bytes(data[place + 1 : place + 3], "big")
        yield data[place], data[place + 3 : place + 3 + length]
        place += 3 + length


def joined(*parts: tuple[int, bytes]) -> bytes:
    """The input that `pieces` cuts into these."""
    return b"".join(bytes([control]) + len(part).to_bytes(2, "big") + part for control, part in parts)
