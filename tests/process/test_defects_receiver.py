"""What broke the programs that came before, sent to a real receiver.py: a01 to a21, one input each.

The streams are 20 ms packets of noise that wrap both their numbers within the first second; what was heard is looked
up in the WAV file that the receiver wrote. Its delay is 200 ms here, so that a busy machine does not lose packets.
"""

import contextlib
import heapq
import itertools
import random
import signal
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.call import SENDER, Wrapping, l16, media, noise
from tests.support.processes import LOOPBACK, Receiver, free_ports, receiver
from tests.support.raw_peer import (
    FEC,
    L16,
    PACKET,
    PCMU,
    PTIME,
    RATE,
    Address,
    RawPeer,
    Samples,
    Stream,
    big_endian,
    from_mulaw,
    old_repair,
    raw_peer,
    repair,
    rtp,
    sender_report,
)
from tests.support.raw_scene import (
    GOOD,
    PATIENT,
    Heard,
    complaint,
    different_ports,
    find,
    finish,
    has_ended,
    load,
    scene,
    together,
    without_devices,
    without_pyaudio,
)
from tests.support.text_phone import CRLF, status, token, value
from voip.audio import AudioReceiver, AudioSender
from voip.errors import EXIT_NO_MEDIA
from voip.fec import FlexFecDecoder
from voip.rtp import RtpPacket
from voip.session import RtpSession
from voip.sip import Address as SipAddress
from voip.sip import IncomingCall, UserAgent

pytestmark = pytest.mark.process


# --- packets that are not what they seem ------------------------------------------------------------------------------


def bad_repair(folder: Path, payload: bytes, ports: tuple[int, range], *, fec: bool) -> Heard:
    """A stream with packets of payload type 127 in its midst, and one missing beside them."""
    folder = folder / ("fec" if fec else "plain")
    folder.mkdir()
    with scene(folder, fec=fec, ports=ports) as call:
        stream = call.stream
        stream.send(20)
        stream.next()  # this one is missing
        stream.throw(rtp(stream.sequence + 30000, stream.timestamp, payload, ssrc=stream.ssrc, payload_type=FEC))
        stream.throw(rtp(7, stream.timestamp, payload, ssrc=0x77, payload_type=FEC, csrcs=(stream.ssrc,)))
        stream.send(49)
        return call.end()


def assert_dropped(folder: Path, payload: bytes) -> tuple[Heard, Heard]:
    """Nothing but the missing packet is missing, with FEC agreed on and without; what was heard in both calls."""
    with_fec, without = different_ports(2)
    agreed, plain = together(
        lambda: bad_repair(folder, payload, with_fec, fec=True), lambda: bad_repair(folder, payload, without, fec=False)
    )
    for heard in (agreed, plain):
        rx = heard.outcome.call["rx"]
        assert heard.places[20] == -1
        assert heard.share() >= GOOD - 1 / 70
        assert (rx["received"], rx["recovered"]) == (69, 0)
    assert plain.outcome.call["rx"]["lost"] == 1
    return agreed, plain


ONE_BYTE = b"\0"
ENDLESS = old_repair([], b"", count=0xFFFF)
TOO_LONG = old_repair(range(65511, 65521), bytes(range(256)) * 4)  # the tenth of them is the missing one


def test_a01_a_fec_packet_of_one_byte_is_dropped_and_counted(tmp_path: Path) -> None:
    agreed, _ = assert_dropped(tmp_path, ONE_BYTE)
    assert agreed.outcome.call["fec"]["rejected"] >= 1
    assert agreed.outcome.call["rx"]["lost"] == 1


def test_a02_a_fec_packet_that_claims_65535_members_is_dropped_and_counted(tmp_path: Path) -> None:
    agreed, _ = assert_dropped(tmp_path, ENDLESS)
    assert agreed.outcome.call["fec"]["rejected"] >= 1
    assert agreed.outcome.call["rx"]["lost"] == 1


def test_a03_a_fec_body_longer_than_the_audio_with_a_member_missing_is_dropped(tmp_path: Path) -> None:
    assert_dropped(tmp_path, TOO_LONG)


def test_a03_a_flexfec_body_longer_than_the_audio_with_a_member_missing_is_dropped_and_counted(tmp_path: Path) -> None:
    packets = [rtp(65518 + i, 0xFFFFFFFF - 5000 + (18 + i) * PACKET, bytes(3000), ssrc=0x0A0B0C0D) for i in range(3)]
    agreed, _ = assert_dropped(tmp_path, repair(packets, ssrc=0x77, sequence=7, timestamp=0)[16:])
    assert agreed.outcome.call["fec"]["rejected"] >= 1
    assert agreed.outcome.call["rx"]["lost"] == 1


def test_a03_a_strange_fec_packet_does_not_make_packets_count_as_lost(tmp_path: Path) -> None:
    ((sip_port, media_ports),) = different_ports(1)
    heard = bad_repair(tmp_path, TOO_LONG, (sip_port, media_ports), fec=True)
    assert heard.outcome.call["rx"]["lost"] == 1


def test_a01_to_a03_packets_of_a_payload_type_that_was_not_agreed_on_are_counted(tmp_path: Path) -> None:
    with scene(tmp_path) as call:
        call.stream.send(5)
        for payload in (ONE_BYTE, ENDLESS, TOO_LONG):
            call.stream.throw(rtp(7, 0, payload, ssrc=call.stream.ssrc, payload_type=FEC))
        heard = call.end()
    assert "unknown type 3" in heard.outcome.stderr


def test_a04_fifty_random_datagrams_change_nothing(tmp_path: Path) -> None:
    rng = random.Random(4)
    with scene(tmp_path) as call, raw_peer() as stranger:
        call.stream.send(20)
        for _ in range(50):
            stranger.send(rng.randbytes(200), call.stream.dialog.media)
            stranger.send(rng.randbytes(200), call.target)
            call.stream.throw(rng.randbytes(200))
            call.peer.send(rng.randbytes(200), call.target)
        call.stream.send(50)
        heard = call.end()
    assert heard.share() >= GOOD
    assert heard.outcome.call["rx"]["lost"] == 0
    assert heard.outcome.call["rx"]["foreign"] == 50


def paused(stream: Stream, *, clock_runs: bool) -> None:
    """A late duplicate after 65 packets, and then a pause in which the media clock runs, or does not."""
    stream.send(45)
    duplicate = stream.next()
    stream.throw(duplicate)
    stream.send(20)
    stream.throw(duplicate)
    stream.pace.wait(0.5)
    stream.timestamp += round(0.5 * RATE) if clock_runs else 0
    stream.send(75)


def reordered(stream: Stream) -> None:
    """An exponential delay of 30 ms on average for each packet, of its own."""
    rng = random.Random(6)
    packets = [stream.prepare() for _ in range(300)]
    wire = [(number * PTIME + rng.expovariate(1 / 0.03), packet) for number, packet in enumerate(packets)]
    heapq.heapify(wire)
    due = 0.0
    while wire:
        out, packet = heapq.heappop(wire)
        stream.pace.wait(out - due)
        due = out
        stream.throw(packet)


def reported(stream: Stream) -> None:
    """RTCP between the packets, and a pause."""

    def report(number: int) -> None:
        if number % 10 == 5:
            stream.throw(sender_report(stream.ssrc, stream.timestamp, number, number * 320))

    stream.between = report
    stream.send(40)
    stream.pace.wait(0.5)  # what turned the report's place in the buffer into silence for ever
    stream.send(40)


def jumping(stream: Stream, *, clock_jumps: bool) -> None:
    """The sequence numbers jump by 500 after 50 packets."""
    stream.send(50)
    stream.sequence += 500
    stream.timestamp += 500 * PACKET if clock_jumps else 0
    stream.send(70)


STREAMS: dict[str, Callable[[Stream], None]] = {
    "a05, clock stops": partial(paused, clock_runs=False),
    "a05, clock runs": partial(paused, clock_runs=True),
    "a06": reordered,
    "a07": reported,
    "a08, clock goes on": partial(jumping, clock_jumps=False),
    "a08, clock jumps": partial(jumping, clock_jumps=True),
}


def one_call(folder: Path, name: str, ports: tuple[int, range]) -> Heard:
    folder = folder / name
    folder.mkdir()
    with scene(folder, ports=ports) as call:
        STREAMS[name](call.stream)
        return call.end()


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Heard]:
    """These streams, each to a receiver of its own, all at the same time."""
    folder = tmp_path_factory.mktemp("calls")
    ports = different_ports(len(STREAMS))
    jobs = [partial(one_call, folder, name, own) for name, own in zip(STREAMS, ports, strict=True)]
    return dict(zip(STREAMS, together(*jobs), strict=True))


@pytest.mark.parametrize("name", ["a05, clock stops", "a05, clock runs"])
def test_a05_a_late_duplicate_and_a_pause_are_over_within_a_second(calls: dict[str, Heard], name: str) -> None:
    heard = calls[name]
    assert heard.share(0, 66) >= GOOD
    assert heard.share(66 + 50) >= GOOD  # a second after the pause, at the latest
    assert heard.share(66) >= GOOD
    assert heard.outcome.call["rx"]["duplicate"] == 1
    assert heard.outcome.call["rx"]["lost"] == 0


def test_a06_reordering_by_30_ms_costs_less_than_half_a_percent(calls: dict[str, Heard]) -> None:
    heard = calls["a06"]
    rx = heard.outcome.call["rx"]
    assert (rx["received"], rx["lost"]) == (300, 0)
    assert rx["reordered"] > 50
    assert heard.share() > 0.995


def test_a07_rtcp_on_the_rtp_port_is_no_audio(calls: dict[str, Heard]) -> None:
    heard = calls["a07"]
    assert heard.outcome.call["rx"]["received"] == 80
    assert heard.outcome.call["rx"]["malformed"] == 0
    assert heard.share() >= GOOD


@pytest.mark.parametrize("name", ["a08, clock goes on", "a08, clock jumps"])
def test_a08_a_jump_by_500_plays_on(calls: dict[str, Heard], name: str) -> None:
    heard = calls[name]
    assert heard.share(0, 40) >= GOOD  # what waits to be played at the jump may be left out
    assert heard.share(50) >= GOOD


# --- callers ----------------------------------------------------------------------------------------------------------


def test_a09_a_killed_caller_that_calls_again_is_heard(tmp_path: Path) -> None:
    with scene(tmp_path) as call, raw_peer() as reborn:
        call.stream.send(25)
        call.peer.close()
        call.stream.pace.wait(1.0)
        second = Stream(reborn.call(call.target), ssrc=0x5EC02D, sequence=0, timestamp=0, seed=9)
        second.send(50)
        assert second.dialog.bye() == 200
        call.far.stop()
        finish(call.far)
    places = find(second.sent, load(tmp_path / "heard.wav"))
    assert sum(place >= 0 for place in places) > 46


def test_a09_a_killed_caller_that_calls_again_after_the_media_time_out_is_heard(tmp_path: Path) -> None:
    with scene(tmp_path, "--media-timeout", "1s") as call, raw_peer() as reborn:
        call.stream.send(25)
        call.peer.close()
        call.far.wait_for("no more media from the other side")
        second = Stream(reborn.call(call.target), ssrc=0x5EC02D, sequence=0, timestamp=0, seed=9)
        second.send(50)
        assert second.dialog.bye() == 200
        call.far.wait_for("ended by the other side")
        call.far.stop()
        outcome = finish(call.far)
    assert outcome.report is not None
    assert [each["end_reason"] for each in outcome.report["calls"]] == ["media-timeout", "remote-bye"]
    assert outcome.report["calls"][1]["rx"]["received"] == 50
    places = find(second.sent, load(tmp_path / "heard.wav"))
    assert sum(place >= 0 for place in places) > 46


def test_a10_a_second_caller_is_busy_and_its_packets_are_not_heard(tmp_path: Path) -> None:
    with scene(tmp_path) as call, raw_peer() as other:
        call.stream.send(20)
        answer, dialog = other.invite(call.target)
        assert status(answer) == 486
        assert dialog is None
        intruder = Stream(call.stream.dialog, ssrc=0xBAD, sequence=1000, timestamp=0, seed=10)
        call.stream.between = lambda number: other.send(intruder.prepare(), call.stream.dialog.media)
        call.stream.send(60)
        heard = call.end()
    assert heard.share() >= GOOD
    assert heard.outcome.call["rx"]["foreign"] == 60
    assert max(find(intruder.sent, load(tmp_path / "heard.wav"))) == -1


# --- requests of strangers --------------------------------------------------------------------------------------------


def test_a11_a_strangers_bye_is_refused_and_the_call_goes_on(tmp_path: Path) -> None:
    with scene(tmp_path) as call, raw_peer() as stranger:
        call.stream.send(20)
        stranger.send(b"BYE x", call.target)
        stranger.send(b"BYE x\r\n\r\n", call.target)
        bye = stranger.request("BYE", call.target, call_id=call.stream.dialog.call_id, to="<sip:x@y>;tag=guess")
        assert status(stranger.ask(bye, call.target)) == 481
        assert status(stranger.ask(stranger.request("BYE", call.target), call.target)) == 481
        call.stream.send(50)
        assert not has_ended(call.far)
        heard = call.end()
    assert heard.share() >= GOOD


@contextlib.contextmanager
def waiting(folder: Path) -> Iterator[tuple[Receiver, RawPeer, Address]]:
    """A receiver without a call, and somebody who writes to it."""
    with receiver(folder) as far, raw_peer() as peer:
        yield far, peer, (far.host, far.sip_port)
        far.stop()
        outcome = finish(far)
        assert outcome.report is not None
        assert outcome.report["calls"] == []
        assert "call from" not in outcome.stderr


def test_a12_options_that_allow_invite_are_no_call(tmp_path: Path) -> None:
    with waiting(tmp_path) as (_, peer, target):
        assert status(peer.ask(peer.request("OPTIONS", target, "Allow: INVITE, ACK, BYE"), target)) == 200


def test_a12_a_cancel_of_nothing_is_refused(tmp_path: Path) -> None:
    with waiting(tmp_path) as (_, peer, target):
        assert status(peer.ask(peer.request("CANCEL", target), target)) == 481
        wrong = peer.request("CANCEL", target).replace(b"CSeq: 1 CANCEL", b"CSeq: 1 INVITE")
        assert status(peer.ask(wrong, target)) in (400, 481)  # the method there is that of the request (20.16)


def test_a12_a_text_about_invites_gets_no_answer_but_perhaps_400(tmp_path: Path) -> None:
    with waiting(tmp_path) as (_, peer, target):
        peer.send(b"I love INVITEs", target)
        assert status(peer.ask(peer.request("OPTIONS", target), target)) == 200  # so the text has been read
        assert all(status(answer) == 400 for answer in peer.unread())


def test_a12_a_bye_that_allows_invite_ends_its_call(tmp_path: Path) -> None:
    with scene(tmp_path) as call:
        call.stream.send(10)
        bye = call.stream.dialog.request("BYE", "Allow: INVITE, ACK, BYE, CANCEL")
        assert status(call.peer.ask(bye, call.target)) == 200
        call.far.wait_for("ended by the other side")
        assert call.end(bye=False).share() >= GOOD


def test_a13_options_are_answered_and_register_is_refused(tmp_path: Path) -> None:
    with waiting(tmp_path) as (_, peer, target):
        for when in ("once", "again"):
            answer = peer.ask(peer.request("OPTIONS", target), target)
            assert status(answer) == 200, when
            assert answer is not None
            assert "INVITE" in value(answer, "Allow")
            refusal = peer.ask(peer.request("REGISTER", target), target)
            assert status(refusal) in (405, 501), when
            assert refusal is not None
            assert "INVITE" in value(refusal, "Allow")


def test_a14_a_call_as_sipp_makes_it_is_taken(tmp_path: Path) -> None:
    with receiver(tmp_path, "--once") as far, raw_peer() as peer:
        target = far.host, far.sip_port
        call_id = f"1-{token()}@{LOOPBACK}"
        invite = sipp_invite(peer, target, call_id)
        peer.send(invite, target)
        ringing_or_ok = peer.wait("SIP/2.0 200")[0]
        assert value(ringing_or_ok, "Call-ID") == call_id
        to = value(ringing_or_ok, "To")
        assert re_tag(to)
        peer.send(sipp_request("ACK", peer, target, call_id, to, 1), target)
        peer.send(sipp_request("BYE", peer, target, call_id, to, 2), target)
        bye_answer = peer.wait("SIP/2.0 200")[0]
        assert value(bye_answer, "CSeq") == "2 BYE"
        outcome = far.finish()
    assert outcome.status == EXIT_NO_MEDIA, outcome.stderr  # its built-in scenario sends no sound
    assert outcome.call["end_reason"] == "remote-bye"
    assert outcome.call["codec"] == "pcmu"


def re_tag(to: str) -> bool:
    return ";tag=" in to


def sipp_request(method: str, peer: RawPeer, target: Address, call_id: str, to: str, number: int) -> bytes:
    """What the built-in scenario sends: no Contact parameters, its own Via spelling, a Subject."""
    uri = f"sip:service@{target[0]}:{target[1]}"
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {peer.target};branch=z9hG4bK-1-1-{number}{method}",
        f"From: sipp <sip:sipp@{peer.target}>;tag=1SIPpTag001",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {number} {method}",
        f"Contact: sip:sipp@{peer.target}",
        "Max-Forwards: 70",
        "Subject: Performance Test",
    ]
    return CRLF.join([*lines, "Content-Length: 0", "", ""]).encode()


def sipp_invite(peer: RawPeer, target: Address, call_id: str) -> bytes:
    body = CRLF.join(
        [
            "v=0",
            f"o=user1 53655765 2353687637 IN IP4 {LOOPBACK}",
            "s=-",
            f"c=IN IP4 {LOOPBACK}",
            "t=0 0",
            f"m=audio {peer.rtp.getsockname()[1]} RTP/AVP 0",
            "a=rtpmap:0 PCMU/8000",
            "",
        ]
    )
    bare = sipp_request("INVITE", peer, target, call_id, f"service <sip:service@{target[0]}:{target[1]}>", 1).decode()
    end = f"Content-Type: application/sdp{CRLF}Content-Length:   {len(body)}{CRLF}{CRLF}{body}"
    return bare.replace(f"Content-Length: 0{CRLF}{CRLF}", end).encode()


# --- what is in a packet ----------------------------------------------------------------------------------------------


def test_a15_mulaw_is_decoded_by_its_payload_type(tmp_path: Path) -> None:
    codes = np.random.default_rng(15).integers(0, 256, (60, PACKET)).astype(np.uint8)
    table = np.array([from_mulaw(code) for code in range(256)], np.int16)
    with receiver(tmp_path, "--output", "heard.wav", "--latency", PATIENT, "--once") as far, raw_peer() as peer:
        dialog = peer.call((far.host, far.sip_port), peer.description((PCMU,)))
        numbers = itertools.count()

        def packet(stream: Stream, samples: Samples) -> bytes:
            payload = codes[next(numbers)].tobytes()
            return rtp(stream.sequence, stream.timestamp, payload, ssrc=stream.ssrc, payload_type=PCMU)

        stream = Stream(dialog, make=packet)
        stream.send(60)
        assert dialog.bye() == 200
        outcome = finish(far)
    assert outcome.call["codec"] == "pcmu"
    assert table[codes].reshape(-1).tobytes() in load(tmp_path / "heard.wav").tobytes()


def test_a16_extension_padding_and_csrcs_are_not_played(tmp_path: Path) -> None:
    def packet(stream: Stream, samples: Samples) -> bytes:
        return rtp(
            stream.sequence,
            stream.timestamp,
            big_endian(samples),
            ssrc=stream.ssrc,
            csrcs=range(stream.sequence % 16),
            extension=(0xBEDE, b"\x10\x55\0\0" * (stream.sequence % 3)),
            padding=stream.sequence % 5,
            marker=stream.sequence % 2 == 0,
        )

    with scene(tmp_path) as call:
        call.stream.make = packet
        call.stream.send(60)
        heard = call.end()
    everything = np.concatenate(call.stream.sent).tobytes()
    assert everything in load(tmp_path / "heard.wav").tobytes()
    assert heard.outcome.call["rx"]["malformed"] == 0


# --- the program itself -----------------------------------------------------------------------------------------------


def test_a17_ctrl_c_at_the_receiver_says_bye(tmp_path: Path) -> None:
    with scene(tmp_path) as call:
        call.stream.send(50)
        call.far.send_signal(signal.SIGINT)
        bye = call.peer.wait("BYE ", 5)
        assert value(bye[0], "Call-ID") == call.stream.dialog.call_id
        assert ";tag=" in value(bye[0], "From")
        call.peer.answer(bye, 200, "OK")
        outcome = finish(call.far)
    assert outcome.call["end_reason"] == "local-bye"
    assert outcome.call["rx"]["received"] == 50


def test_a18_without_an_output_device_the_receiver_ends_with_one_line(tmp_path: Path) -> None:
    environment = without_devices(tmp_path)
    with receiver(tmp_path, "--output", "speaker", ready=None, environment=environment) as far:
        line = complaint(far.finish(), 3)
    assert "--output" in line
    assert ".wav" in line.lower()


def test_a18_without_pyaudio_the_line_says_what_to_install(tmp_path: Path) -> None:
    environment = without_pyaudio(tmp_path)
    with receiver(tmp_path, "--output", "speaker", ready=None, environment=environment) as far:
        line = complaint(far.finish(), 3)
    assert "PyAudio" in line
    assert "install" in line


def test_a19_a_second_receiver_on_the_same_host_ends_with_one_line(tmp_path: Path) -> None:
    ports = free_ports()
    with receiver(tmp_path, ports=ports) as first:
        with receiver(tmp_path, name="second", ports=ports, ready=None) as second:
            line = complaint(second.finish(), 4)
        assert str(ports[0]) in line
        with raw_peer() as peer:
            stream = Stream(peer.call((first.host, first.sip_port)))
            stream.send(10)
            assert stream.dialog.bye() == 200
        first.wait_for("ended by the other side")
        first.stop()
        assert finish(first).call["rx"]["received"] == 10


def test_a20_a_call_after_more_than_a_minute_plays() -> None:
    agent = UserAgent(rng=random.Random(20), local=lambda remote: ("192.0.2.2", 5060))
    started = 5000.0
    now = started
    while now < started + 61.0:  # nothing comes, only the clock ticks
        agent.handle_timer(now)
        assert agent.next_event() is None
        now += 0.25
    with raw_peer() as writer:
        invite = writer.request("INVITE", ("192.0.2.2", 5060), body="v=0")
    agent.receive(invite, SipAddress("udp", "192.0.2.1", 5060), now)
    incoming = agent.next_event()
    assert isinstance(incoming, IncomingCall)
    agent.accept(incoming.call_id, b"v=0", now)
    assert any(data.startswith(b"SIP/2.0 200") for data, _ in agent.messages_to_send(now))
    agreed = media(l16(RATE))
    session = RtpSession(agreed)
    playing = AudioReceiver(agreed, sample_rate=RATE, channels=1, latency=0.06, latency_max=0.5)
    sending = AudioSender(agreed, sample_rate=RATE, channels=1, rng=Wrapping(), pattern=None)
    said, heard = noise(2.0), []
    for start in range(0, len(said), 80):
        now += 0.01
        for datagram in sending.write(said[start : start + 80], now):
            for packet in session.receive_datagram(datagram, SENDER, now):
                playing.put(packet, now)
        heard.append(playing.read(80, now))
    playing.finish(now)
    heard += [playing.read(80, now + 0.01 * block) for block in range(20)]
    assert said.tobytes() in np.concatenate(heard).tobytes()


def test_a21_fec_repairs_across_the_wrap_of_the_sequence_numbers(tmp_path: Path) -> None:
    with scene(tmp_path, fec=True) as call:
        stream = call.stream
        group: list[bytes] = []
        for number in range(80):  # the wrap is between the packets 35 and 36
            group.append(stream.next())
            if number % 10 != (number // 10) % 10:
                stream.throw(group[-1])
            if len(group) == 10:
                stream.throw(repair(group, ssrc=0x77, sequence=number // 10, timestamp=stream.timestamp))
                group.clear()
        heard = call.end()
    rx, fec = heard.outcome.call["rx"], heard.outcome.call["fec"]
    assert (rx["received"], rx["lost"], rx["recovered"], fec["packets"]) == (72, 8, 8, 8)
    assert fec["rejected"] == 0
    assert heard.share() >= GOOD


def test_a21_the_fec_store_outlives_two_wraps() -> None:
    decoder = FlexFecDecoder(media_ssrc=1, media_payload_types=frozenset({L16}), fec_payload_type=FEC)
    rng = random.Random(21)
    for start in range(0, 3 << 16, 10):
        packets = [rtp(start + i, (start + i) * PACKET, struct.pack("!I", start + i), ssrc=1) for i in range(10)]
        missing = rng.randrange(10)
        for i, packet in enumerate(packets):
            if i != missing:
                decoder.receive(RtpPacket.parse(packet))
        if start % 500 and not (start % 65536 < 40 or start % 65536 > 65496):
            continue  # enough of them
        rebuilt = decoder.receive(RtpPacket.parse(repair(packets, ssrc=2, sequence=start // 10, timestamp=0)))
        assert [packet.serialize() for packet in rebuilt] == [packets[missing]], start
    assert decoder.rejected == 0
