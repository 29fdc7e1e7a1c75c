"""The HTTP API of the directory over loopback: what it gives, what it refuses, and to whom."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("sqlalchemy")

from tests.support.directory_http import Client, Site
from voip.directory.endpoints import ENDPOINTS, document
from voip.directory.server import LARGEST_BODY

TOKEN = "a-token-of-many-characters"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    client = Client(site.port)
    yield client
    client.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path, token=TOKEN) as site:
        yield site


names = (f"user {number}" for number in itertools.count())


def pair(client: Client) -> tuple[str, str, str]:
    """Two users of the API alone, and a call."""
    alice, bob = client.register(next(names)), client.register(next(names))
    response = client.signal("initiate", alice, target_user_id=bob)
    assert response.status == 200, response
    return alice, bob, response.body["call_id"]


def test_health(client: Client) -> None:
    assert client.get("/api/health").body == {"status": "ok"}


def test_users_register_are_listed_found_and_say_goodbye(client: Client) -> None:
    user_id = client.register("Carol", contacts=["sip:carol@10.0.0.7"])
    user = {"user_id": user_id, "username": "Carol", "status": "idle"}
    assert client.get(f"/api/users/get?user_id={user_id}").body == user
    found = client.get("/api/users/find?name=CAROL").body
    assert found == {**user, "room": False, "contacts": ["sip:carol@10.0.0.7"]}
    (listed,) = [each for each in client.get("/api/users/list").body["users"] if each["id"] == user_id]
    assert {"id", "username", "ip_address", "status", "last_heartbeat"} <= {*listed}
    assert (listed["ip_address"], listed["status"]) == ("127.0.0.1", "idle")
    assert client.post("/api/users/heartbeat", user_id=user_id).body == {"success": True}
    assert client.post("/api/users/disconnect", user_id=user_id).body == {"success": True}
    assert user_id not in {each["id"] for each in client.get("/api/users/list").body["users"]}
    assert user_id in {each["id"] for each in client.get("/api/users/list?offline=1").body["users"]}


def test_a_call_from_initiate_to_end(client: Client) -> None:
    alice, bob, call_id = pair(client)
    call = {"call_id": call_id, "caller_id": alice, "callee_id": bob, "status": "calling", "peer": ""}
    assert client.get(f"/api/signal/incoming?user_id={bob}").body == {"call": call}
    assert client.get(f"/api/signal/incoming?user_id={alice}").body == {"call": None}
    for event, text, status in (
        ("accept", "Call accepted", "incall"),
        ("hold", "Call on hold", "onhold"),
        ("resume", "Call resumed", "incall"),
        ("end", "Call ended", "ended"),
    ):
        response = client.signal(event, bob, call_id=call_id)
        assert response.body == {"status": "success", "message": text, "call": {**call, "status": status}}
        assert client.get(f"/api/signal/status?call_id={call_id}").body["call"]["status"] == status
    (listed,) = [each for each in client.get("/api/calls/list").body["calls"] if each["call_id"] == call_id]
    assert listed["began"] <= listed["answered"] <= listed["ended"]


def test_offers_answers_and_candidates_reach_the_other_side(client: Client) -> None:
    alice, bob, call_id = pair(client)
    of_bob = f"call_id={call_id}&user_id={bob}"
    assert client.get(f"/api/signal/get_offer?{of_bob}").body["status"] == "pending"
    assert client.signal("offer", alice, call_id=call_id, offer="v=0\r\n").body["message"] == "Offer sent"
    assert client.get(f"/api/signal/get_offer?{of_bob}").body == {"status": "success", "offer": "v=0\r\n"}
    assert client.signal("answer", bob, call_id=call_id, answer="\ud800").status == 200
    assert client.get(f"/api/signal/get_answer?call_id={call_id}&user_id={alice}").body["answer"] == "\ud800"
    assert client.signal("candidate", alice, call_id=call_id, candidate="one").body["message"] == "Candidate sent"
    assert client.get(f"/api/signal/get_candidates?{of_bob}").body["candidates"] == ["one"]
    assert client.get(f"/api/signal/get_candidates?call_id={call_id}&user_id={alice}").body["candidates"] == []


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["accept", "reject", "end", "hold", "resume", "offer", "answer", "candidate"])
def test_an_unknown_call_is_404_and_a_missing_one_400(client: Client, what: str) -> None:
    user_id = client.register(next(names))
    text = {what: "x"} if what in ("offer", "answer", "candidate") else {}
    response = client.signal(what, user_id, call_id="nope", **text)
    assert (response.status, response.body["message"]) == (404, "Call not found")
    assert client.signal(what, user_id, **text).status == 400


@pytest.mark.parametrize("path", ["users/get?user_id=x", "users/find?name=x", "signal/status?call_id=x"])
def test_what_is_asked_about_but_not_there_is_404(client: Client, path: str) -> None:
    response = client.get(f"/api/{path}")
    assert (response.status, "error" in response.body) == (404, True)


@pytest.mark.parametrize("what", ["heartbeat", "disconnect"])
def test_an_unknown_user_is_404(client: Client, what: str) -> None:
    assert client.post(f"/api/users/{what}", user_id="x").status == 404


def test_a_wrong_state_is_409(client: Client) -> None:
    alice, bob, call_id = pair(client)
    assert client.signal("accept", alice, call_id=call_id).status == 409
    assert client.signal("hold", bob, call_id=call_id).status == 409
    assert client.signal("reject", bob, call_id=call_id).status == 200
    assert client.signal("accept", bob, call_id=call_id).status == 409


def test_a_name_with_a_password_is_403_without(client: Client) -> None:
    client.register("Dora", password="secret")
    assert client.post("/api/users/register", username="dora").status == 403


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b"[" * 60_000, b'{"username": 1e999}', b"NaN"]
)
def test_a_body_that_is_no_object_is_400(client: Client, raw: bytes) -> None:
    response = client.ask("POST", "/api/users/register", raw=raw)
    assert response.status == 400
    assert isinstance(response.body["error"], str)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": None},
        {"username": 1},
        {"username": ["x"]},
        {"username": ""},
        {"username": "a\u0000b"},
        {"username": "x" * 1000},
        {"username": "x", "contacts": "sip:x@y"},
        {"username": "x", "contacts": [1]},
        {"username": "x", "contacts": ["x"] * 1000},
        {"username": "x", "room": "yes"},
        {"username": "x", "password": 5},
    ],
)
def test_fields_that_make_no_sense_are_400(client: Client, body: object) -> None:
    response = client.ask("POST", "/api/users/register", body)
    assert (response.status, "error" in response.body) == (400, True)


def test_a_body_that_is_not_json_by_its_type_is_415(client: Client) -> None:
    """A form of a foreign page is none, whatever is in it."""
    response = client.ask("POST", "/api/users/register", {"username": "x"}, Content_Type="text/plain")
    assert response.status == 415


@pytest.mark.parametrize("size", [LARGEST_BODY + 1, 10_000_000])
def test_a_large_body_is_413(site: Site, size: int) -> None:
    """All of it may never be read: the other side finds the connection closed then."""
    client = Client(site.port)
    try:
        response = client.ask("POST", "/api/users/register", raw=b'"' + b"x" * size + b'"')
    except OSError:
        response = None
    client.close()
    assert response is None or response.status == 413
    again = Client(site.port)
    assert again.get("/api/health").status == 200
    again.close()


@pytest.mark.parametrize(
    "path",
    [
        "/page/../directory.py",
        "/page/..%2f..%2f..%2fetc/passwd",
        "/../../../../etc/passwd",
        "/page//etc/passwd",
        "/page/%00",
        "/api/%2e%2e/%2e%2e/etc/passwd",
    ],
)
def test_no_path_leads_to_a_file(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status in (400, 404)
    assert "root:" not in str(response.body)


def test_other_methods_are_405(client: Client) -> None:
    response = client.ask("DELETE", "/api/users/list")
    assert (response.status, response.headers["Allow"]) == (405, "GET")


def test_a_foreign_origin_and_a_foreign_host_are_refused(client: Client, site: Site) -> None:
    for method, path in (("GET", "/api/users/list"), ("POST", "/api/users/register"), ("GET", "/")):
        assert client.ask(method, path, {"username": "x"}, Origin="http://evil.example").status == 403
        assert client.ask(method, path, {"username": "x"}, Origin="null").status == 403
    assert client.ask("GET", "/api/health", Host="evil.example").status == 421
    assert client.ask("GET", "/api/health", Origin=site.url).status == 200


def test_everything_but_the_page_needs_the_token(guarded: Site) -> None:
    paths = [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
    stranger, guesser, friend = Client(guarded.port), Client(guarded.port, TOKEN[:-1]), Client(guarded.port, TOKEN)
    for method, path in [*paths, ("GET", "/api/openapi.json"), ("GET", "/api/docs"), ("GET", "/nope")]:
        assert stranger.ask(method, path, {}).status == guesser.ask(method, path, {}).status == 401
    assert stranger.get("/").status == stranger.get("/page/directory.js").status == 200
    assert stranger.get("/api/health").headers["WWW-Authenticate"] == "Bearer"
    assert friend.get("/api/health").status == 200
    for client in (stranger, guesser, friend):
        client.close()


def test_hundreds_of_idle_connections_keep_nobody_out_and_are_closed(
    site: Site, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voip.directory.server.IDLE_AFTER", 2.0)
    idle = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(400)]
    try:
        for each in idle[::2]:
            each.sendall(b"GET /api/health HTTP/1.1\r\nHost: 127")  # and never the rest
        assert client.get("/api/health").status == 200
        assert all(map(is_closed, idle))
    finally:
        for each in idle:
            each.close()
    client.close()  # it was idle itself meanwhile
    assert client.get("/api/health").status == 200


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side ends it, in time."""
    connection.settimeout(60.0)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# --- compat -----------------------------------------------------------------------------------------------------------


def test_the_first_programs_answers_come_with_compat_alone(client: Client) -> None:
    one, two = (client.ask("POST", "/api/users/register?compat=1", {}).body for _ in range(2))
    assert one["username"] == "Unknown"
    assert one["user_id"] != two["user_id"]
    accepted = client.ask("POST", "/api/signal/accept?compat=1", {"message_type": "x", "user_id": "x", "call_id": "x"})
    assert (accepted.status, accepted.body) == (200, {"status": "success", "message": "Call accepted"})
    unknown = client.ask("POST", "/api/users/heartbeat?compat=1", {"user_id": "x"})
    assert (unknown.status, unknown.body) == (200, {"success": False})
    target = {"message_type": "x", "user_id": one["user_id"], "target_user_id": "nobody"}
    assert client.ask("POST", "/api/signal/initiate?compat=1", target).body["message"] == "Call initiated"
    assert client.ask("POST", "/api/signal/initiate", target).status == 404
    missing = client.ask("POST", "/api/signal/initiate?compat=1", {"message_type": "x"})
    assert (missing.status, missing.body) == (400, "user_id is missing")


# --- the document and the pages ---------------------------------------------------------------------------------------


def test_the_document_names_every_path(client: Client) -> None:
    told = client.get("/api/openapi.json").body
    assert told == document("1.0")
    assert {*told["paths"]} == {endpoint.path for endpoint in ENDPOINTS}
    page = client.get("/api/docs").body
    assert all(endpoint.path in page for endpoint in ENDPOINTS)


def test_pages_load_nothing_from_elsewhere_and_say_so(client: Client) -> None:
    for path in ("/", "/page/directory.js", "/page/directory.css", "/api/docs", "/api/health", "/nope"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_requests_of_many_at_a_time_are_all_answered(site: Site) -> None:
    statuses: list[int] = []

    def ask() -> None:
        client = Client(site.port)
        statuses.extend(client.post("/api/users/register", username=next(names)).status for _ in range(20))
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 160
    assert site.failures.count == 0
