"""Digest authentication against the examples of its standards (RFC 2617, RFC 7616, RFC 3261 with RFC 8760)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voip.errors import ProtocolError
from voip.sip.auth import Challenge, Credentials, authorization, parse_challenge, parse_credentials
from voip.sip.grammar import split_list

RFC2617_NONCE = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
RFC7616_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC7616_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC7616_OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"


def parameters(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    assert scheme == "Digest"
    return dict(piece.split("=", 1) for piece in split_list(rest))


def test_the_example_of_rfc_2617() -> None:
    challenge = parse_challenge(
        f'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="{RFC2617_NONCE}", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    header = authorization(challenge, Credentials("Mufasa", "Circle Of Life"), "GET", "/dir/index.html", 1, "0a4f113b")
    assert parameters(header) == {
        "username": '"Mufasa"',
        "realm": '"testrealm@host.com"',
        "nonce": f'"{RFC2617_NONCE}"',
        "uri": '"/dir/index.html"',
        "response": '"6629fae49393a05397450978507c4ef1"',
        "cnonce": '"0a4f113b"',
        "qop": "auth",
        "nc": "00000001",
        "opaque": '"5ccc069c403ebaf9f0171e9517f40e41"',
    }


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = parse_challenge(
        f'Digest  realm="http-auth@example.org",\tqop="auth, auth-int",algorithm={algorithm}, '
        f'nonce="{RFC7616_NONCE}", opaque="{RFC7616_OPAQUE}"'
    )
    header = authorization(
        challenge, Credentials("Mufasa", "Circle of Life"), "GET", "/dir/index.html", 1, RFC7616_CNONCE
    )
    found = parameters(header)
    assert found["response"] == f'"{response}"'
    assert found["algorithm"] == algorithm


def test_the_examples_of_draft_smith_sipping_auth_examples_01() -> None:
    """Of SIP requests, as FreeRADIUS has them in its tests; a request that is read proves the same as one written."""
    for algorithm, qop, response in (
        ("", (), "bf57e4e0d0bffc0fbaedce64d59add5e"),
        ("MD5", ("auth",), "89eb0059246c02b2f6ee02c7961d5ea3"),
    ):
        challenge = Challenge("biloxi.com", RFC2617_NONCE, algorithm=algorithm, qop=qop)
        bob = Credentials("bob", "zanzibar")
        header = authorization(challenge, bob, "INVITE", "sip:bob@biloxi.com", 1, "0a4f113b")
        proof = parse_credentials(header)
        assert proof.response == response
        assert (proof.username, proof.uri, proof.count) == ("bob", "sip:bob@biloxi.com", int(bool(qop)))


@pytest.mark.parametrize(
    "value",
    [
        "",
        'Digest username="a"',
        'Digest username="a",realm="r",nonce="n",uri="u",response="x",nc=1',
        'Digest username="a",realm="r",nonce="n",uri="u",response="x',
    ],
)
def test_malformed_credentials_are_refused(value: str) -> None:
    with pytest.raises(ProtocolError):
        parse_credentials(value)


def test_a_server_of_old_without_qop_gets_the_old_response() -> None:
    challenge = Challenge("testrealm@host.com", RFC2617_NONCE)
    found = parameters(
        authorization(challenge, Credentials("Mufasa", "Circle Of Life"), "GET", "/dir/index.html", 1, "x")
    )
    assert found["response"] == '"670fd8c2df070c60b045671b8b24ff02"'  # the same example, by RFC 2069's rule
    assert found.keys() == {"username", "realm", "nonce", "uri", "response"}


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        ("md5", "md5"),
        ("MD5-sess", "md5"),
        ("SHA-256-sess", "sha256"),
        ("SHA-512-256", "sha512_256"),
        ("SHA-512-256-SESS", "sha512_256"),
    ],
)
def test_every_algorithm_follows_the_formula(algorithm: str, name: str) -> None:
    def h(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    if name not in hashlib.algorithms_available:
        pytest.skip(f"this Python has no {name}")
    challenge = Challenge("example.com", "n0nce", algorithm=algorithm, qop=("auth",))
    found = parameters(
        authorization(challenge, Credentials("b\u00f6b", "zanzibar"), "INVITE", "sip:bob@example.com", 0x1A, "c")
    )
    secret = h("b\u00f6b:example.com:zanzibar")
    if algorithm.lower().endswith("-sess"):
        secret = h(f"{secret}:n0nce:c")
    assert found["response"] == '"' + h(f"{secret}:n0nce:0000001a:c:auth:{h('INVITE:sip:bob@example.com')}") + '"'
    assert found["nc"] == "0000001a"
    assert found["algorithm"] == algorithm


def test_the_body_counts_only_where_the_server_insists() -> None:
    def response(qop: tuple[str, ...], body: bytes) -> str:
        challenge = Challenge("r", "n", qop=qop)
        found = parameters(authorization(challenge, Credentials("u", "p"), "INVITE", "sip:a@b", 1, "c", body))
        assert found["qop"] == (qop[0] if len(qop) == 1 else "auth")
        return found["response"]

    assert response(("auth-int", "auth"), b"v=0") == response(("auth",), b"")
    assert response(("auth-int",), b"v=0") != response(("auth-int",), b"v=1")


def test_a_session_without_qop_still_tells_its_cnonce() -> None:
    found = parameters(
        authorization(Challenge("r", "n", algorithm="MD5-sess"), Credentials("u", "p"), "BYE", "sip:a", 1, "cc")
    )
    assert found["cnonce"] == '"cc"'
    assert "qop" not in found


@pytest.mark.parametrize(
    ("value", "challenge"),
    [
        ('Digest realm="a", nonce="b"', Challenge("a", "b")),
        ('DIGEST nonce="b",REALM="a",Stale=TRUE', Challenge("a", "b", stale=True)),
        ('Digest realm="a, \\"b\\"" , nonce = "c=" ,opaque="", stale="false"', Challenge('a, \\"b\\"', "c=", "")),
        ('Digest realm="", nonce="b", qop=auth, algorithm="SHA-256"', Challenge("", "b", None, "SHA-256", ("auth",))),
        (
            'Digest realm="a", nonce="b", domain="sip:x y", charset=UTF-8, qop="AUTH,x"',
            Challenge("a", "b", qop=("auth", "x")),
        ),
        ('Digest realm="a", nonce="b", qop=""', Challenge("a", "b")),
    ],
)
def test_challenges_come_in_many_forms(value: str, challenge: Challenge) -> None:
    assert parse_challenge(value) == challenge


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Digest",
        'Basic realm="a"',
        "NoOneKnowsThis opaque-data=here",
        'Digest realm="a"',
        'Digest nonce="a"',
        'Digest realm="a", nonce=""',
        'Digest realm="a, nonce="b"',
        'Digest realm="a", nonce="b",',
        'Digest realm="a", nonce="b", nonce="c"',
        'Digest realm="a" nonce="b"',
        'Digest realm="a", nonce="b", x',
        'Digest realm="a", nonce=<b>',
        'Digest realm="a", nonce="b", opaque="c',
    ],
)
def test_a_malformed_challenge_is_refused(value: str) -> None:
    with pytest.raises(ProtocolError):
        parse_challenge(value)


def test_challenges_are_as_strong_as_their_hashes() -> None:
    md5, sha, other = (
        parse_challenge(f'Digest realm="a", nonce="b", algorithm={name}') for name in ("MD5", "SHA-256", "WHIRLPOOL")
    )
    assert sha.strength > md5.strength > other.strength == 0
    assert parse_challenge('Digest realm="a", nonce="b", qop="token"').strength == 0


def test_a_challenge_that_cannot_be_answered_is_not() -> None:
    for challenge in (Challenge("a", "b", algorithm="WHIRLPOOL"), Challenge("a", "b", qop=("token",))):
        assert challenge.strength == 0
        with pytest.raises(ValueError, match="cannot answer"):
            authorization(challenge, Credentials("u", "p"), "BYE", "sip:a", 1, "c")


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Credentials("user", "secret"))


def test_quotes_in_names_stay_inside() -> None:
    header = authorization(Challenge('a\\"b', "n"), Credentials('u"x, y="z', "p"), "BYE", "sip:a", 1, "c")
    assert parameters(header)["username"] == '"u\\"x, y=\\"z"'
    assert parameters(header)["realm"] == '"a\\"b"'


@settings(deadline=None)
@given(
    st.text(max_size=80)
    | st.text(st.sampled_from('realmnoc="\\, \t'), max_size=60).map(lambda text: f'Digest realm="r",nonce="n",{text}')
)
def test_any_text_is_a_challenge_or_a_protocol_error(text: str) -> None:
    try:
        challenge = parse_challenge(text)
    except ProtocolError:
        return
    if challenge.strength:
        header = authorization(challenge, Credentials("u", "p"), "INVITE", "sip:a@b", 1, "c")
        assert parse_challenge(header).nonce == challenge.nonce
