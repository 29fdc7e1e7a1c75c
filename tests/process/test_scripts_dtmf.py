"""Keys of a telephone through the real programs: dialled by one, told by the other."""

import json
from pathlib import Path

import pytest

from tests.support.processes import assert_identities, receiver, sender

pytestmark = pytest.mark.process


def test_what_is_dialled_is_told_on_the_other_side(tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--output", "null", "--once", "--json") as far,
        sender(
            tmp_path, far.target, "--input", "tone", "--duration", "2.5s", "--dtmf", "15#", "--codec", "pcmu"
        ) as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert (sent.status, heard.status) == (0, 0), sent.stderr + heard.stderr
    events = [json.loads(line) for line in heard.stdout.splitlines()]
    keys = [event for event in events if event["event"] == "dtmf"]
    assert [(event["digit"], event["duration_ms"]) for event in keys] == [("1", 100), ("5", 100), ("#", 100)]
    assert {event["call_id"] for event in keys} == {heard.call["call_id"]}
    assert "key 5   pressed for 100 ms" in heard.stderr
    assert heard.call["rx"]["lost"] == 0
    assert_identities(heard.call)


def test_keys_that_there_was_no_time_for_are_named(tmp_path: Path) -> None:
    with (
        receiver(tmp_path, "--output", "null", "--once") as far,
        sender(tmp_path, far.target, "--input", "tone", "--duration", "1s", "--dtmf", "1,,5#") as near,
    ):
        sent, heard = near.finish(), far.finish()
    assert sent.status == heard.status == 0
    assert "the call ended before all DTMF digits were sent: 5# not sent" in sent.stderr
