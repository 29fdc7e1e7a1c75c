"""Any bytes at all on the port: nothing but declared errors, and nothing sent to strangers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.dtls_lab import CLIENT, ELSEWHERE, SERVER, DtlsLab, certificate, terms
from voip.dtls.endpoint import Endpoint
from voip.dtls.records import clear_alert, is_client_hello, is_dtls, pack, split
from voip.srtp.association import Role

RECORD = st.builds(
    lambda kind, version, epoch, number, body, length: (
        bytes([kind])
        + version
        + epoch.to_bytes(2, "big")
        + number.to_bytes(6, "big")
        + (len(body) if length is None else length).to_bytes(2, "big")
        + body
    ),
    st.sampled_from((20, 21, 22, 22, 22, 23, 24, 25, 63)),
    st.sampled_from((b"\xfe\xff", b"\xfe\xfd", b"\xfe\xfc", b"\x03\x03")),
    st.sampled_from((0, 0, 0, 1, 2, 65535)),
    st.integers(0, (1 << 48) - 1) | st.integers(0, 8),
    st.binary(max_size=400)
    | st.builds(
        lambda kind, body: (
            bytes([kind]) + len(body).to_bytes(3, "big") + b"\0\0\0\0\0" + len(body).to_bytes(3, "big") + body
        ),
        st.sampled_from((0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 20)),
        st.binary(max_size=300),
    ),
    st.none() | st.integers(0, 65535),
)
DATAGRAM = st.lists(RECORD, max_size=4).map(b"".join) | st.binary(max_size=1500)


@given(DATAGRAM)
def test_records_are_whole_and_in_order(data: bytes) -> None:
    records = split(data)
    assert data.startswith(b"".join(records))
    for record in records:
        assert len(record) > 13
        assert is_dtls(record)
        clear_alert(record)
        is_client_hello(record)


@given(st.lists(st.integers(14, 1100), max_size=30))
def test_records_are_packed_in_order_within_the_mtu(sizes: list[int]) -> None:
    records = [bytes([index]) * size for index, size in enumerate(sizes)]
    datagrams = pack(records, 1200)
    assert b"".join(datagrams) == b"".join(records)
    assert all(len(datagram) <= 1200 for datagram in datagrams)


@settings(max_examples=400, deadline=None)
@given(st.lists(DATAGRAM, max_size=6), st.sampled_from([Role.CLIENT, Role.SERVER, None]))
def test_any_bytes_before_the_handshake(datagrams: list[bytes], role: Role | None) -> None:
    endpoint = Endpoint(certificate("server"), b"secret")
    if role is not None:
        endpoint.agree(terms(role, "client"), CLIENT, 0.0)
    endpoint.datagrams_to_send()
    for data in datagrams:
        endpoint.receive(data, ELSEWHERE, 0.0)
        assert sum(len(sent) for sent, _ in endpoint.datagrams_to_send()) <= len(data)
        endpoint.receive(data, CLIENT, 0.0)
        endpoint.datagrams_to_send()
    assert not endpoint.established


@settings(max_examples=300, deadline=None)
@given(st.lists(DATAGRAM, max_size=6))
def test_any_bytes_after_the_handshake(datagrams: list[bytes]) -> None:
    lab = DtlsLab()
    lab.agree()
    lab.run(1.0)
    for data in datagrams:
        lab.server.endpoint.receive(data, CLIENT, 1.0)
        lab.client.endpoint.receive(data, SERVER, 1.0)
    lab.pump()
    assert not lab.client.closed
    assert not lab.server.closed
    assert len(lab.client.events) == len(lab.server.events) == 1
    lab.client.endpoint.close()
    lab.pump()
    lab.run(0.1)
    assert lab.server.closed
