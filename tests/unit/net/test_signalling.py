"""The SIP transport: what the system refuses to send is an event like those of the user agent."""

from __future__ import annotations

import random

from voip.net import Network, SendFailed, SipTransport
from voip.sip import OfferWanted, SipUri, UserAgent

UNREACHABLE = "240.0.0.1"  # reserved (RFC 1112 section 4): no system sends there from its loopback


def test_a_message_that_cannot_be_sent_is_told_to_its_handler() -> None:
    network = Network(bind="127.0.0.1")
    port = network.sip.listen(0)
    assert network.sip.sip_ports["udp"] == port
    agent = UserAgent(rng=random.Random(1), local=network.sip.sip_address)
    failed: list[SendFailed] = []

    def on_offer_wanted(event: OfferWanted) -> None:
        agent.offer(event.call_id, b"v=0\r\n", network.loop.now())

    network.sip.serve(agent, {OfferWanted: on_offer_wanted, SendFailed: failed.append}, lambda call_id: None)
    agent.invite(SipUri.parse(f"sip:{UNREACHABLE}"), None, network.loop.now(), timeout=10.0)
    network.sip.flush()
    assert [event.address.host for event in failed] == [UNREACHABLE]
    network.close()


def test_refusals_are_counted_for_each_try_by_itself() -> None:
    """The second ICMP error is believed, in each; the number that is told is that of the try."""
    network = Network(bind="127.0.0.1")
    failed: list[SendFailed] = []
    agent = UserAgent(rng=random.Random(1), local=network.sip.sip_address)
    network.sip.serve(agent, {SendFailed: failed.append}, lambda call_id: None)
    told = []
    assert isinstance(network.sip, SipTransport)
    for _ in range(6):
        network.sip._note_refused("127.0.0.1", 5099)
        told.append(len(failed))
    assert told == [0, 1, 1, 2, 2, 3]
    assert {event.reason for event in failed} == {"nothing listens at its UDP port 5099 (refused 2 times)"}
    assert all(event.closed for event in failed)
    network.close()
