"""--workers: what is divided, what is refused, and how a worker process comes to its place."""

from __future__ import annotations

import os

import pytest

from voip import cli
from voip.cli.sharing import PLACE, Place, port_range, share

FITTING = ("--workers", "2", "--max-calls", "4", "--output", "null")


@pytest.mark.parametrize(("whole", "workers"), [(4, 2), (5, 2), (7, 3), (500, 8), (3, 3)])
def test_shares_are_as_even_as_can_be_and_nothing_is_left(whole: int, workers: int) -> None:
    shares = [share(whole, number, workers) for number in range(workers)]
    assert sum(shares) == whole
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("ports", [(5000, 5019), (5001, 5020), (10000, 11015), (7000, 7006), (7001, 7007)])
@pytest.mark.parametrize("workers", [2, 3])
def test_media_ports_are_divided_in_pairs_and_no_two_workers_have_the_same(
    ports: tuple[int, int], workers: int
) -> None:
    ranges = [range(first, last + 1) for first, last in (port_range(ports, n, workers) for n in range(workers))]
    assert all(each[0] % 2 == 0 for each in ranges)
    assert all(ports[0] <= each[0] and each[-1] <= ports[1] for each in ranges)
    assert len({port for each in ranges for port in each}) == sum(map(len, ranges))
    pairs = [len(range(each[0], each[-1] + 1, 2)) for each in ranges]
    assert sum(pairs) == len(range(ports[0] + ports[0] % 2, ports[1] + 1, 2))


@pytest.mark.parametrize("calls", [2, 7, 100, 999])
def test_without_a_range_each_worker_has_a_pair_for_each_of_its_calls_and_some_to_spare(calls: int) -> None:
    workers = 2
    options = cli.receiver_options(["--workers", "2", "--max-calls", str(calls), "--output", "null"])
    assert options.media_ports is not None
    for number in range(workers):
        first, last = port_range(options.media_ports, number, workers)
        assert (last + 1 - first) // 2 >= share(calls, number, workers) + 4


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--workers", "0"], "between 1 and"),
        (["--workers", "9"], "requires --max-calls of 9"),
        (["--conference"], "--conference"),
        (["--two-way"], "--two-way"),
        (["--web"], "--web"),
        (["--pcap", "call.pcapng"], "--pcap"),
        (["--once"], "--once"),
        (["--stun", "stun.example"], "--stun"),
        (["--registrar", "pbx.example", "--user", "a"], "--registrar"),
        (["--answer", "ask"], "--answer ask"),
        (["--output", "speaker"], "--output null"),
        (["--output", "call.wav"], "--output null"),
        (["--output", "-"], "--output null"),
        (["--output", "all.wav", "--output-per-caller", "calls"], "--output null"),
        (["rtp://:5004"], "STREAM"),
        (["--rtp-port", "7000-7001"], "no ports for each of 2 workers"),
    ],
)
def test_what_is_not_for_several_processes_is_refused_in_one_line(
    more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.receiver_options([*FITTING, *more])
    assert stop.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert said in line
    assert "--workers" in line or "workers" in line


def test_one_worker_is_a_receiver_as_ever() -> None:
    options = cli.receiver_options(["--workers", "1", "--conference", "--max-calls", "2"])
    assert (options.workers, options.place, options.output) == (1, None, "speaker")


def test_a_worker_has_its_share_and_leaves_the_report_to_its_parent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(1, 2, 7, {"udp": 5060, "tcp": 5060, "tls": 40000}, ("udp", "tcp"))
    environment = place.environment({"NOTIFY_SOCKET": "/x", "HOME": "/y"})
    assert set(environment) == {PLACE, "HOME"}
    monkeypatch.setenv(PLACE, environment[PLACE])
    ports = ("--rtp-port", "6000-6009", "--max-calls", "3")
    options = cli.own_options([*FITTING, *ports, "--report", "r.json", "--announce", "x", "-v"])
    assert capsys.readouterr().err == ""
    assert options.place == place
    assert (options.workers, options.max_calls, options.media_ports) == (1, 1, (6006, 6009))
    assert (options.report, options.announce, options.json, options.verbosity) == (None, None, True, 1)
    assert PLACE not in os.environ


def test_without_a_place_the_options_are_those_that_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PLACE, raising=False)
    assert cli.own_options([*FITTING]).workers == 2
