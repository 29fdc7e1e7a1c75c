"""ICE as a lite agent, in virtual time: checks, nomination, consent, and what strangers can do (RFC 8445, RFC 7675)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.session_lab import NAT, PEER, SENDER_REPORT, STRANGER, Wire, media, packet
from voip.media import Direction, IceCredentials, IceTerms
from voip.session import Address, IceLite, RtpSession
from voip.session.ice import CHECK_BURST, CONSENT, SUPERSEDED_AFTER
from voip.stun import check_request, parse_response

OWN = IceCredentials("ours", "a password of twenty-four")
TERMS = IceTerms(OWN, IceCredentials("theirs", "another of twenty-two or so"))
NOMINATES = bytes.fromhex("00250000")
OTHER: Address = ("192.0.2.11", 7000)


class Peer:
    """Makes the checks of a peer, each another transaction."""

    def __init__(self, agent: IceLite, now: float = 100.0) -> None:
        self.agent, self.now, self.count = agent, now, 0
        self.last = b""

    def check(
        self,
        source: Address = PEER,
        *,
        nominates: bool = True,
        priority: int = 100,
        name: str = "ours:theirs",
        password: str = OWN.password,
        more: bytes = b"",
    ) -> bytes | None:
        self.count += 1
        attributes = bytes.fromhex("00240004") + priority.to_bytes(4, "big") + (NOMINATES if nominates else b"") + more
        self.last = check_request(self.count.to_bytes(12, "big"), name, password, attributes)
        return self.agent.receive(self.last, source, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def peer() -> Peer:
    return Peer(IceLite(TERMS))


def test_a_check_is_answered_with_where_it_came_from_and_selects_only_if_it_nominates(peer: Peer) -> None:
    response = peer.check(nominates=False)
    assert response is not None
    assert parse_response(response).mapped == PEER
    assert peer.agent.selected is None
    assert peer.check() is not None
    assert peer.agent.selected == PEER


@pytest.mark.parametrize(
    "wrong", [{"password": "guess"}, {"name": "ours:else"}, {"name": "else:theirs"}, {"name": ""}, {"name": "ours"}]
)
def test_other_credentials_get_no_response_and_select_nothing(peer: Peer, wrong: dict[str, str]) -> None:
    assert peer.check(**wrong) is None  # type: ignore[arg-type]
    assert peer.agent.selected is None
    assert (peer.agent.accepted, peer.agent.refused) == (0, 1)


def test_noise_is_refused_and_counted(peer: Peer) -> None:
    assert peer.agent.receive(bytes(20), STRANGER, peer.now) is None
    assert peer.agent.refused == 1


def test_a_copy_from_another_address_does_not_move_media(peer: Peer) -> None:
    """Whoever reads a check can send it; the peer itself may repeat it."""
    peer.check()
    peer.wait(60.0)
    assert peer.agent.receive(peer.last, STRANGER, peer.now) is None
    assert peer.agent.selected == PEER
    assert peer.agent.replayed == 1
    assert peer.agent.receive(peer.last, PEER, peer.now) is not None


def test_a_peer_that_thinks_it_is_controlled_is_told(peer: Peer) -> None:
    response = peer.check(more=bytes.fromhex("80290008") + bytes(8))
    assert response is not None
    assert parse_response(response).error.startswith("487")
    assert peer.agent.selected is None


def test_an_unknown_attribute_that_has_to_be_understood_is_named(peer: Peer) -> None:
    response = peer.check(more=bytes.fromhex("77770000"))
    assert response is not None
    assert parse_response(response).error.startswith("420")
    assert peer.agent.selected is None


def test_a_flood_of_guesses_takes_nothing_from_the_peer(peer: Peer) -> None:
    """Their rate is asked before the HMAC, and the peer has its own."""
    peer.check()
    for _ in range(int(10 * CHECK_BURST)):
        assert peer.check(STRANGER, password="guess") is None
    assert peer.agent.refused == CHECK_BURST - 1  # the first check of the peer was that of a stranger, too
    assert peer.agent.excess == 9 * CHECK_BURST + 1
    assert peer.check() is not None


def test_of_several_nominations_the_one_of_the_highest_priority_counts(peer: Peer) -> None:
    peer.check(OTHER, priority=50)
    peer.check(PEER, priority=100)
    assert peer.agent.selected == PEER
    peer.check(OTHER, priority=50)
    assert peer.agent.selected == PEER


def test_a_peer_that_has_changed_its_network_is_followed_to_a_lower_priority(peer: Peer) -> None:
    peer.check(PEER, priority=100)
    peer.wait(SUPERSEDED_AFTER)
    peer.check(OTHER, priority=50)
    assert peer.agent.selected == OTHER


def test_consent_ends_with_the_checks_and_comes_back_with_them(peer: Peer) -> None:
    peer.check()
    peer.wait(CONSENT - 1.0)
    peer.check(nominates=False)
    peer.wait(CONSENT - 0.1)
    assert not peer.agent.handle_timer(peer.now)
    assert peer.agent.selected == PEER
    due = peer.agent.next_timer()
    assert due == pytest.approx(peer.now + 0.1)
    peer.wait(0.2)
    assert peer.agent.handle_timer(peer.now)
    assert peer.agent.selected is None
    assert not peer.agent.handle_timer(peer.now)
    assert peer.agent.next_timer() is None
    peer.check()
    assert peer.agent.selected == PEER


def test_checks_on_another_pair_are_no_consent(peer: Peer) -> None:
    peer.check()
    for _ in range(int(CONSENT) + 1):
        peer.wait(1.0)
        peer.check(OTHER, nominates=False)
    assert peer.agent.handle_timer(peer.now)


def test_a_restart_takes_other_credentials_and_keeps_the_pair_until_another_is_nominated(peer: Peer) -> None:
    peer.check()
    again = IceCredentials("anew", "a password of twenty-five!")
    peer.agent.update(replace(TERMS, own=again))
    assert peer.agent.selected == PEER
    assert peer.check() is None
    peer.check(OTHER, name="anew:theirs", password=again.password, priority=1)
    assert peer.agent.selected == OTHER


# --- what follows for the session -------------------------------------------------------------------------------------


def session(*, invited: bool = False) -> RtpSession:
    terms = media(ice=TERMS, rtcp_mux=True, direction=Direction.SENDRECV, remote=("0.0.0.0", 9))
    return RtpSession(terms, cname="us", invited=invited, signalling_host=STRANGER[0])


@pytest.mark.parametrize("invited", [False, True])
def test_nothing_is_sent_before_a_pair_is_selected_nor_after_consent(invited: bool) -> None:
    found = session(invited=invited)
    assert not found.may_send
    assert (found.rtcp_destination, found.keep_alive()) == (None, None)
    assert found.hosts == frozenset()  # a flood must not keep the first check away
    found.select(NAT, 100.0)
    assert NAT[0] in found.hosts
    assert found.may_send
    assert (found.remote, found.rtcp_destination) == (NAT, NAT)
    found.select(None, 130.0)
    assert not found.may_send
    assert found.rtcp_destination is None


def test_media_comes_from_the_selected_pair_alone() -> None:
    """Not even from the host that SIP comes from, nor after any silence."""
    wire = Wire(session())
    assert wire.stream(range(20), STRANGER) == []
    wire.session.select(NAT, wire.now)
    assert wire.stream(range(20, 40), STRANGER) == []
    assert wire.session.foreign == 40
    assert wire.stream(range(40, 50), NAT)
    wire.session.receive_datagram(SENDER_REPORT, STRANGER, wire.now)
    assert wire.session.rtcp == 0
    wire.now += 10.0
    assert wire.stream(range(600, 620), STRANGER) == []
    assert wire.session.remote == NAT


def test_when_the_pair_changes_what_is_on_its_way_by_the_one_before_is_taken() -> None:
    wire = Wire(session())
    wire.session.select(NAT, wire.now)
    wire.stream(range(10), NAT)
    wire.session.select(OTHER, wire.now)
    assert wire.session.remote == OTHER
    assert wire.send(packet(10), NAT)
    assert wire.session.remote == OTHER
    assert wire.send(packet(11), OTHER)


def test_a_check_is_a_sign_of_life() -> None:
    found = session()
    found.select(NAT, 100.0)
    found.select(NAT, 105.0)
    assert found.last_heard == 105.0
