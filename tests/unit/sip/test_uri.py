"""SIP URIs: reading and writing, equality by RFC 3261 section 19.1.4, and the target of a command line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voip.errors import ProtocolError
from voip.sip.message import SipUri, parse_target, uri_equal
from voip.sip.uri import parse_uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:example.com",
        "sip:alice@example.com",
        "sips:alice:secret@example.com:5061;transport=tcp",
        "sip:alice@example.com;maddr=239.255.255.1;ttl=15;lr?subject=project%20x&priority=urgent",
        "sip:+1-212-555-1212:1234@gateway.example.com;user=phone",
        "sip:[2001:db8::10]",
        "sip:a@[2001:db8::10]:5070;x",
        "sip:*43#@example.com",
        "sip:j\u00fcrgen@example.com",
        "sip:alice;day=tuesday@example.com",
        "sip:a_b.example.com;p=[::1]:1/&+$",
    ],
)
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    assert str(SipUri.parse(text)) == text


def test_the_parts_of_a_uri() -> None:
    uri = SipUri.parse("SIPS:al%69ce:pw@[2001:db8::10]:5070;Transport=TCP;lr?Subject=x&a=b")
    assert (uri.scheme, uri.user, uri.username, uri.password) == ("sips", "al%69ce", "alice", "pw")
    assert (uri.host, uri.port, uri.host_port) == ("2001:db8::10", 5070, "[2001:db8::10]:5070")
    assert (uri.params, uri.headers) == ({"transport": "TCP", "lr": None}, {"Subject": "x", "a": "b"})


def test_a_parameter_that_is_merely_repeated_counts_once() -> None:
    """As baresip 1.0 dials an address with a transport over an account with the same one."""
    uri = SipUri.parse("sip:a@127.0.0.1:5060;transport=tcp;Transport=tcp;lr;lr")
    assert uri.params == {"transport": "tcp", "lr": None}
    with pytest.raises(ProtocolError):
        SipUri.parse("sip:a@127.0.0.1;transport=tcp;transport=udp")
    with pytest.raises(ProtocolError):
        SipUri.parse("sip:a@127.0.0.1;lr;lr=on")


def test_brackets_of_an_ipv6_host_may_be_given_or_not() -> None:
    assert str(SipUri(host="::1", port=1)) == str(SipUri(host="[::1]", port=1)) == "sip:[::1]:1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        "sip:a@",
        "sip:@b",
        "sip:a b@c",
        "sip:a@b c",
        "sip:a@b:",
        "sip:a@b:x",
        "sip:a@b:99999999999",
        "sip:a@b;",
        "sip:a@b;;x",
        "sip:a@b;=x",
        "sip:a@b;x=",
        "sip:a@b?",
        "sip:a@b?x",
        "sip:a@b?x=1&",
        "sip:a@b@c",
        "sip:a%zz@b",
        "sip:[]",
        "sip:[1.2.3.4]",
        "sip:<a@b>",
        "tel:+1",
        "sip:a@b\n",
        "sip:a@b:0",
    ],
)
def test_a_malformed_uri_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        SipUri.parse(text)


@pytest.mark.parametrize("text", ["", ":", "1x:y", "x", "x:", "x:a b", "<x:y>", "sip:"])
def test_what_is_no_uri_of_any_scheme_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_uri(text)


# The pairs of RFC 3261 section 19.1.4, and some of ours.
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        ("sip:biloxi.com;transport=tcp;method=REGISTER", "sip:biloxi.com;method=REGISTER;transport=tcp"),
        ("sip:a@b?x=1&y=%41", "sip:a@b?Y=A&x=1"),
        ("sip:a%3bb@c", "sip:a%3Bb@c"),
        ("sip:c@h;%6C%72;n%61me=v%61lue", "sip:c@h;lr;name=value"),
        ("tel:+1", "tel:+1"),
    ],
)
def test_equal_uris(a: str, b: str) -> None:
    assert uri_equal(parse_uri(a), parse_uri(b))
    assert uri_equal(parse_uri(b), parse_uri(a))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:a:@b"),
        ("sip:a@b", "sip:b"),
        ("sip:a%3Bb@c", "sip:a;b@c"),
        ("sip:c@h;name=value%2541", "sip:c@h;name=valueA"),
        ("sip:a@b", "tel:+1"),
    ],
)
def test_different_uris(a: str, b: str) -> None:
    assert not uri_equal(parse_uri(a), parse_uri(b))
    assert not uri_equal(parse_uri(b), parse_uri(a))


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("host", "sip:host"),
        ("192.0.2.7", "sip:192.0.2.7"),
        (" host:5070 ", "sip:host:5070"),
        ("::1", "sip:[::1]"),
        ("[::1]", "sip:[::1]"),
        ("[2001:db8::7]:5070", "sip:[2001:db8::7]:5070"),
        ("2001:db8::7", "sip:[2001:db8::7]"),
        ("bob@host", "sip:bob@host"),
        ("bob@::1", "sip:bob@[::1]"),
        ("bob@host:5070", "sip:bob@host:5070"),
        ("bob:pw@host", "sip:bob:pw@host"),
        ("j\u00fcrgen@host", "sip:j%C3%BCrgen@host"),
        ("two words@host", "sip:two%20words@host"),
        ("host;transport=tcp", "sip:host;transport=tcp"),
        ("sip:bob@host:5070;transport=udp", "sip:bob@host:5070;transport=udp"),
        ("SIPS:bob@host", "sips:bob@host"),
        ("sip", "sip:sip"),
    ],
)
def test_a_target_is_what_people_write(text: str, uri: str) -> None:
    assert str(parse_target(text)) == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ":",
        ":5060",
        "host:",
        "host:0",
        "host:65536",
        "host:sip",
        "[::1",
        "a b",
        "sip:",
        "sip:@host",
        "http://host",
        "tel:+123",
        "a@b@c d",
        "host/path",
        "sip:a@b?x=y",
        "host\r\nX: y",
        "mailto:a@b",
    ],
)
def test_a_target_that_is_none_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^.*(not a SIP address|can be called|not supported).*$") as caught:
        parse_target(text)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.text(max_size=40) | st.text(st.sampled_from("ab1:.@[];=%? "), max_size=20))
def test_any_target_is_a_uri_or_a_value_error(text: str) -> None:
    try:
        uri = parse_target(text)
    except ValueError:
        return
    assert SipUri.parse(str(uri)) == uri


@settings(deadline=None)
@given(st.text(max_size=40) | st.text(st.sampled_from("ab1:.@[];=%?&"), max_size=20))
def test_any_text_is_a_uri_or_a_protocol_error(text: str) -> None:
    try:
        uri = SipUri.parse("sip:" + text)
    except ProtocolError:
        return
    assert SipUri.parse(str(uri)) == uri
    assert uri_equal(uri, uri)
