"""The file of a capture: blocks, headers and checksums, what it may be written to, and a disk that is full."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pcapng import Seen, read_capture
from voip.errors import NetworkError
from voip.net.capture_file import ROUTE_LIFE, CaptureFile, Flow, Packet, Routes
from voip.net.ip_headers import ip_packet, udp_packet
from voip.stats import CaptureStats

HERE, THERE = ("192.0.2.1", 5004), ("198.51.100.7", 40000)
HERE_6, THERE_6 = ("2001:db8::1", 5004), ("2001:db8::7", 40000)
MEDIA = Flow(HERE, signalling=False)
NOON = 1_790_000_000.123456


def packet(payload: bytes, flow: Flow = MEDIA, *, at: float = NOON, inbound: bool = False) -> Packet:
    remote = THERE_6 if ":" in flow.local[0] else THERE
    return Packet(at, 0, flow, remote, payload, inbound, (7, 2**32 + 9))


def written(path: Path, *packets: Packet) -> CaptureFile:
    file = CaptureFile(path, "voip 1.2.3")
    file.append(packets)
    file.close()
    return file


def test_a_capture_has_header_interface_packets_and_statistics(tmp_path: Path) -> None:
    file = CaptureFile(tmp_path / "call.pcapng", "voip 1.2.3")
    file.append([packet(b"first"), packet(b"second!", at=NOON + 1.5, inbound=True)])
    file.end(NOON + 2.0, CaptureStats("call.pcapng", packets=2, dropped=3))
    file.close()
    found = read_capture(tmp_path / "call.pcapng")
    assert (found.application, found.noticed, found.dropped) == ("voip 1.2.3", 5, 3)
    assert found.packets == [
        Seen(NOON, False, "", "udp", HERE, THERE, b"first"),
        Seen(NOON + 1.5, True, "", "udp", THERE, HERE, b"second!"),
    ]
    assert file.packets == 2


@pytest.mark.parametrize("local", [HERE, HERE_6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 172, 1399, 32_768])
def test_headers_and_checksums_of_any_packet_are_right(
    tmp_path: Path, local: tuple[str, int], is_stream: bool, size: int
) -> None:
    payload = bytes(number * 7 % 256 for number in range(size))
    flow = Flow(local, signalling=False, is_stream=is_stream, comment="said")
    written(tmp_path / "call.pcapng", packet(payload, flow, inbound=True))
    (found,) = read_capture(tmp_path / "call.pcapng").packets
    assert (found.payload, found.destination, found.comment) == (payload, local, "said")
    assert (found.protocol, found.inbound) == ("tcp" if is_stream else "udp", True)
    if is_stream:
        assert (found.sequence, found.acknowledged) == (7, 9), "they have 32 bits"


def test_the_header_of_ipv4_is_one_that_is_known() -> None:
    made = ip_packet("192.168.0.1", "192.168.0.199", 17, bytes(95))
    assert made[:20].hex() == "450000730000400040 11b861c0a80001c0a800c7".replace(" ", "")


def test_a_checksum_of_udp_that_comes_to_zero_is_written_as_all_ones() -> None:
    """RFC 768: zero says that there is none."""
    checksums = {udp_packet(HERE, THERE, word.to_bytes(2, "big"))[26:28] for word in range(1 << 16)}
    assert b"\xff\xff" in checksums
    assert b"\x00\x00" not in checksums


def test_what_no_packet_can_be_is_left_out_and_the_others_are_not(tmp_path: Path) -> None:
    strange = packet(b"x")._replace(remote=("no address", 5))
    file = written(tmp_path / "call.pcapng", packet(b"a"), strange, packet(bytes(65_536)), packet(b"b"))
    assert read_capture(tmp_path / "call.pcapng").payloads == [b"a", b"b"]
    assert file.packets == 2


def test_messages_are_masked_and_media_is_not(tmp_path: Path) -> None:
    secret = b"Authorization: Digest SECRET\r\n"
    signalling = Flow(HERE, signalling=True)
    written(tmp_path / "call.pcapng", packet(secret), packet(secret, signalling))
    assert read_capture(tmp_path / "call.pcapng").payloads == [secret, b"Authorization: Digest xxxxxx\r\n"]


# --- where a socket is bound to any address ---------------------------------------------------------------------------


def test_a_socket_of_any_address_has_the_one_that_leads_to_the_peer() -> None:
    now, asked, answers = [0.0], list[str](), ["10.0.0.1", "10.0.0.2"]

    def find(remote: str) -> str:
        asked.append(remote)
        if not answers:
            raise NetworkError("no route")
        return answers.pop(0)

    routes = Routes(find, lambda: now[0])
    assert routes.local("127.0.0.9", "127.0.0.1") == "127.0.0.9", "one that is bound is known"
    assert [routes.local("0.0.0.0", "10.9.9.9") for _ in range(3)] == 3 * ["10.0.0.1"]
    assert asked == ["10.9.9.9"]
    now[0] += ROUTE_LIFE
    assert routes.local("0.0.0.0", "10.9.9.9") == "10.0.0.2", "the machine has moved"
    now[0] += ROUTE_LIFE
    assert routes.local("0.0.0.0", "10.9.9.9") == "10.0.0.2", "the last that is known"
    assert routes.local("::", "2001:db8::7") == "::"


# --- what it may be written to ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_capture_is_for_its_owner_alone_and_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "call.pcapng"
    with no_umask():
        written(path, packet(b"long" * 100))
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    written(path, packet(b"short"))
    assert read_capture(path).payloads == [b"short"]
    assert path.stat().st_mode & 0o777 == 0o640, "its owner gave it that"


def test_no_file_is_created_without_a_packet(tmp_path: Path) -> None:
    file = CaptureFile(tmp_path / "call.pcapng", "voip")
    file.end(NOON, CaptureStats("call.pcapng"))
    file.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "folder", "device"])
def test_what_is_no_regular_file_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "call.pcapng", tmp_path / "other"
    if kind == "link":
        other.write_bytes(b"precious")
        path.symlink_to(other)
    elif kind == "link to nothing":
        path.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path(os.devnull)
    before = path.lstat()
    with pytest.raises(OSError, match="no regular file"):
        written(path, packet(b"x"))
    assert path.lstat() == before
    assert not other.exists() or other.read_bytes() == b"precious"


# --- a disk that is full ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process may grow beyond that: writing fails there, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_the_disk_is_full_the_file_ends_with_the_last_whole_packet(tmp_path: Path) -> None:
    path = tmp_path / "call.pcapng"
    file = CaptureFile(path, "voip")
    file.append([packet(b"before")])
    with room_for(path.stat().st_size + 1000), pytest.raises(OSError, match="large"):
        file.append([packet(bytes([number]) * 400) for number in range(5)])
    file.close()
    assert file.packets == 3
    assert file.size == path.stat().st_size
    assert read_capture(path).payloads == [b"before", bytes(400), b"\x01" * 400]
