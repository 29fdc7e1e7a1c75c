"""A conference of five by three makers: who hears whom and how loud, while they come and go.

`pytest -s` prints the matrix: a row for each listener, a column for each speaker, dBFS where each is heard best, and of
itself where the others are.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.baresip import Baresip
from tests.interop.linphone import Linphone
from tests.interop.phone import Certificates, certificates
from tests.support.peers import require
from tests.support.processes import Program, Receiver, receiver, sender, until
from tests.support.tones import echo, hears, hears_clearly, levels, say

pytestmark = [pytest.mark.process, pytest.mark.interop]

TONES = {"baresip opus": 401.37, "baresip pcmu": 563.91, "linphonec": 733.71, "sender": 1041.53, "late": 1171.93}
"""Hz of what each says: none is a multiple, a sum or a difference of others, nor where the distortion of G.711 is."""
ECHO = {"baresip opus": -40.0, "baresip pcmu": -40.0, "linphonec": -35.0, "sender": -60.0, "late": -60.0}
"""dB that a party may hear of itself beside the others: less than its codec's own noise, which is all of it. Of those
that get L16 it is the bridge that is measured, and sums of distorted tones of the others."""
TOGETHER = 3.0
"""Seconds that all of them have."""


class Party:
    """One of them, whose tone is said and who records what it hears."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.hertz, self.folder = name, TONES[name], folder / name.replace(" ", "-")
        self.folder.mkdir()

    def says(self, rate: int) -> Path:
        return say(self.folder / "said.wav", self.hertz, rate=rate, seconds=120.0)


def phones(folder: Path, made: Certificates) -> tuple[Baresip, Baresip, Linphone]:
    opus, pcmu, lin = (Party(name, folder) for name in ("baresip opus", "baresip pcmu", "linphonec"))
    return (
        Baresip(opus.folder, "opus", "udp", made, opus.says(48_000)),
        Baresip(pcmu.folder, "pcmu", "udp", made, pcmu.says(8_000)),
        Linphone(lin.folder, "pcmu", "udp", made, lin.says(8_000)),
    )


@contextlib.contextmanager
def caller(folder: Path, far: Receiver, name: str) -> Iterator[tuple[Program, Path]]:
    """A sender that is a party, and its recording."""
    party = Party(name, folder)
    sound = ("--two-way", "--codec", "l16", "--fec", "off", "--latency", "200ms", "-i", str(party.says(48_000)))
    with sender(party.folder, far.target, *sound, "-o", "heard.wav", name=name) as program:
        yield program, party.folder / "heard.wav"


def test_five_parties_by_three_makers_hear_all_others_and_not_themselves(tmp_path: Path) -> None:
    require("baresip", "linphonec")
    host = ("--conference", "--max-calls", "6", "--media-timeout", "4s", "-v")
    opus, pcmu, lin = phones(tmp_path, certificates(tmp_path))
    with receiver(tmp_path, *host) as far, opus, pcmu, lin, caller(tmp_path, far, "sender") as (first, first_file):
        for phone in (opus, pcmu, lin):
            phone.call(f"sip:room@{far.target}")
            phone.wait_up()
        theirs = _of("baresip opus", "baresip pcmu", "linphonec")
        until(lambda: hears(first_file, *theirs), "a sender hears all phones")
        with caller(tmp_path, far, "late") as (late, late_file):  # one joins late
            until(lambda: hears_clearly(late_file, *theirs, TONES["sender"]), "who is late hears all")
            until(lambda: hears_clearly(first_file, *theirs, TONES["late"]), "and is heard")
            lin.wait(TOGETHER)
            os.kill(first.pid, signal.SIGKILL)  # one leaves without a word
            opus.hang_up()  # and one by BYE
            opus.wait_over()
            far.wait_for("no more media")
            until(lambda: _left(late_file), "those who are left are heard, the others are not")
            for phone in (pcmu, lin):
                phone.hang_up()
                phone.wait_over()
            late.stop()
            assert late.finish().status == 0
        files = {"sender": first_file, "late": late_file, "linphonec": lin.heard()}
        _judge(files | {"baresip opus": opus.heard(), "baresip pcmu": pcmu.heard()})
        far.stop()
        heard = far.finish()
    assert heard.report is not None
    reasons = sorted(call["end_reason"] for call in heard.report["calls"])
    assert reasons == ["media-timeout", "remote-bye", "remote-bye", "remote-bye", "remote-bye"]
    assert heard.report["total"]["at_a_time"] == 5


def _of(*names: str) -> list[float]:
    return [TONES[name] for name in names]


def _left(file: Path) -> bool:
    """Whether at the end only those are heard who have not left."""
    last = levels(file, [*TONES.values()])[-1:]
    return any(
        min(found[hertz] for hertz in _of("baresip pcmu", "linphonec")) > -30
        and max(found[hertz] for hertz in _of("sender", "baresip opus")) < -45
        for found in last
    )


def _judge(files: dict[str, Path]) -> None:
    """The matrix, and that it is as it has to be."""
    lines, echoes = [" " * 14 + "".join(f"{name:>14}" for name in TONES)], {}
    for listener, file in files.items():
        found = levels(file, [*TONES.values()])
        others = [hertz for name, hertz in TONES.items() if name != listener]
        echoes[listener] = echo(file, TONES[listener], others)
        row = {name: max(piece[hertz] for piece in found) for name, hertz in TONES.items() if name != listener}
        texts = (f"{row[name]:14.1f}" if name in row else f"echo {echoes[listener]:6.1f}".rjust(14) for name in TONES)
        lines.append(f"{listener:14}" + "".join(texts))
        assert min(row.values()) > -21, listener  # said at -15 dBFS
        assert max(row.values()) < -8, listener
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert {name: level for name, level in echoes.items() if level > ECHO[name]} == {}
