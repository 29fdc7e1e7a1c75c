"""A whole directory with two telephones, in virtual time: users, database, SIP side, and calls through it."""

from __future__ import annotations

from tests.support import directory_desk
from tests.support.directory_lab import ALICE, BOB, DOMAIN, Scene, Telephone, sip_server_of
from voip.sip import Request, Response

DESK = "127.0.0.7"
"""Where the second telephone of bob is."""


class House:
    """A whole directory with alice and bob, each at a telephone, in virtual time."""

    def __init__(self, *, telephones: tuple[str, ...] = ("alice", "bob")) -> None:
        self.desk = directory_desk.Scene()
        self.directory = self.desk.directory
        self.users = {name: self.desk.register(name) for name in ("alice", "bob", "carol")}
        self.sip = Scene(server=sip_server_of(self.directory))
        self.desk.now = self.sip.now
        places = {"alice": (ALICE, 5080), "bob": (BOB, 5070)}
        self.phones = {name: self.sip.register(name, *places[name]) for name in telephones}

    @property
    def alice(self) -> Telephone:
        return self.phones["alice"]

    @property
    def bob(self) -> Telephone:
        return self.phones["bob"]

    def restart(self, seconds: float = 5.0) -> None:
        """The directory is gone for so long, and knows what it has made durable."""
        self.desk.now = self.sip.now
        self.desk = self.desk.after_restart(seconds)
        self.directory = self.desk.directory
        server = sip_server_of(self.directory, seed=8)
        server.start(0.0, self.directory.proxied())
        self.sip = Scene(server=server)
        self.sip.now = 0.0

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.sip.wait(1.0)
            self.desk.now = self.sip.now
            self.directory.tick()

    def statuses(self) -> tuple[str, str]:
        """Of alice and bob."""
        found = [self.directory.status(self.users[name]) for name in ("alice", "bob")]
        return found[0], found[1]

    def calls(self) -> list[tuple[str, str, str, str]]:
        """Caller, callee, status, reason; the newest first."""
        return [(caller, callee, call.status, call.reason) for call, caller, callee in self.directory.list_calls()]

    # --- a call ---

    def invite(self, *lines: str, call_id: str = "call", who: str = "alice", whom: str = "bob") -> Request:
        """As it comes to the callee."""
        caller = self.phones[who]
        self.sip.say(caller, ours(caller, caller.invite(whom, *lines, call_id=call_id)))
        return self.sip.request_to(self.phones[whom])

    def respond(self, invite: Request, code: int, *lines: str, tag: str = "") -> Response:
        """As it comes to alice."""
        self.sip.say(self.bob, self.bob.respond(invite, code, *lines, tag=tag))
        response = self.sip.heard(self.alice)[-1]
        assert isinstance(response, Response)
        return response

    def up(self, *lines: str) -> Response:
        """A call, and its 200."""
        return self.respond(self.invite(), 200, *lines)

    def within(self, method: str, answer: Response, code: int, *lines: str, number: int = 2) -> None:
        """A request of alice within the call, and bob's response to it."""
        route = ", ".join(str(each) for each in reversed(answer.record_routes))
        request = self.alice.request(
            method, str(answer.contacts[0].uri), f"Route: {route}",
            call_id=answer.call_id, to=answer.headers.lines("To")[0], number=number,
        )  # fmt: skip
        self.sip.say(self.alice, ours(self.alice, request))
        if method != "ACK":
            self.sip.say(self.bob, self.bob.respond(self.sip.request_to(self.bob), code, *lines, tag=self.bob.says.tag))
            assert self.sip.statuses(self.alice)[-1] == code

    # --- a call to two telephones of bob ---

    def forked(self) -> tuple[Telephone, Request, Response]:
        """Both answer: the second telephone, its INVITE, and the 200 of the first."""
        desk = self.sip.register("bob", DESK, 5071, "udp")
        self.sip.say(self.alice, ours(self.alice, self.alice.invite("bob", call_id="call")))
        first, second = self.sip.request_to(self.bob), self.sip.request_to(desk)
        one = self.respond(first, 200)
        self.sip.say(desk, desk.respond(second, 200))
        return desk, second, one

    def hung_up_by(self, desk: Telephone, invite: Request) -> None:
        """A BYE of the telephone that had this INVITE."""
        route = ", ".join(str(each) for each in invite.record_routes)
        bye = desk.request(
            "BYE", str(invite.contacts[0].uri), f"Route: {route}",
            call_id="call", to=invite.headers.lines("From")[0],
        )  # fmt: skip
        self.sip.say(desk, bye)


def ours(phone: Telephone, data: bytes) -> bytes:
    """With the address-of-record in From, as a telephone with an account has it."""
    before = f"From: <sip:{phone.user}@{phone.says.address}>".encode()
    assert before in data
    return data.replace(before, f"From: <sip:{phone.user}@{DOMAIN}>".encode())
