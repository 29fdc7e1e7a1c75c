"""Users of the directory: names, ids, passwords, and who is there."""

from __future__ import annotations

import hashlib

import pytest

from tests.support.directory_desk import MIDNIGHT, Scene
from voip.directory.directory import Registration
from voip.directory.persistence import SaveUser
from voip.directory.refusals import BadRequest, Forbidden, NotStored, Unknown
from voip.directory.users import LONGEST_NAME, User

BOB = "sip:bob@10.0.0.9:5060"


@pytest.fixture
def scene() -> Scene:
    return Scene()


def statuses(scene: Scene) -> dict[str, str]:
    return {user.name: user.status for user in scene.directory.list_users()}


def contacts(scene: Scene, user: User) -> tuple[str, ...]:
    return scene.directory.listed(user).contacts


def test_who_registers_again_keeps_the_id_and_another_does_not_have_it(scene: Scene) -> None:
    bob, alice = scene.register("bob"), scene.register("alice")
    assert scene.register("BOB").id == bob.id != alice.id
    assert scene.directory.users.get(bob.id).name == "bob"


@pytest.mark.parametrize(
    "name",
    ["", "  ", "a" * (LONGEST_NAME + 1), "a\nb", "a\x00b", "\x1b[2J", "bob\u202e", "b\u200bob", "\ud800", "a\tb"],
)
def test_names_that_cannot_be_told_apart_are_refused(scene: Scene, name: str) -> None:
    with pytest.raises(BadRequest):
        scene.register(name)
    assert len(scene.directory.users) == 0


@pytest.mark.parametrize("name", ["a" * LONGEST_NAME, "Zoë", "李四", "<script>alert(1)</script>", "bob smith"])
def test_any_name_that_can_be_read_is_taken(scene: Scene, name: str) -> None:
    assert scene.directory.users.named(name.upper()) is None
    assert scene.register(name).name == name
    assert scene.directory.users.has(name)


def test_a_name_with_a_password_is_given_to_who_knows_it_alone(scene: Scene) -> None:
    bob = scene.register("bob", password="secret")
    for wrong in (None, "Secret", ""):
        with pytest.raises(Forbidden):
            scene.register("bob", password=wrong)
    assert scene.register("Bob", password="secret").id == bob.id


def test_the_registrar_is_told_the_hash_that_a_telephone_makes(scene: Scene) -> None:
    scene.register("bob", password="secret")
    users = scene.directory.users
    assert users.hash_of("BOB", "MD5") == hashlib.md5(b"bob:voip:secret").hexdigest()
    assert users.hash_of("bob", "SHA-256") is None
    assert users.hash_of("carol", "MD5") is None


def test_a_user_is_offline_ten_seconds_after_the_last_heartbeat(scene: Scene) -> None:
    bob = scene.register("bob", BOB)
    scene.pass_time(10)
    assert (statuses(scene), contacts(scene, bob)) == ({"bob": "idle"}, (BOB,))
    scene.pass_time(1)
    assert (statuses(scene), contacts(scene, bob)) == ({"bob": "offline"}, ())
    scene.ask(scene.directory.heartbeat, bob.id)
    assert (statuses(scene), contacts(scene, bob)) == ({"bob": "idle"}, (BOB,))
    assert scene.directory.listed(bob).heartbeat == int(MIDNIGHT + 11)


def test_who_registers_again_has_the_new_contacts_alone(scene: Scene) -> None:
    scene.register("bob", BOB)
    bob = scene.register("bob", "sip:bob@10.0.0.10")
    assert contacts(scene, bob) == ("sip:bob@10.0.0.10",)


def test_a_link_is_as_good_as_heartbeats_and_may_be_lost_for_a_while(scene: Scene) -> None:
    bob = scene.register("bob", BOB)
    agent = scene.link(bob)
    scene.pass_time(60)
    assert contacts(scene, bob) == (BOB,)
    scene.directory.unlink(bob.id, agent)
    scene.pass_time(10)
    assert contacts(scene, bob) == (BOB,)
    scene.pass_time(1)
    assert contacts(scene, bob) == ()


def test_a_link_that_has_been_replaced_takes_nothing_with_it(scene: Scene) -> None:
    bob = scene.register("bob")
    before, after = scene.link(bob), scene.link(bob)
    scene.directory.unlink(bob.id, before)
    assert scene.directory.users.agent(bob.id) is after


def test_who_says_goodbye_is_offline_at_once(scene: Scene) -> None:
    bob = scene.register("bob", BOB)
    scene.link(bob)
    scene.ask(scene.directory.disconnect, bob.id)
    assert (statuses(scene), contacts(scene, bob)) == ({"bob": "offline"}, ())


def test_unknown_ids_are_unknown(scene: Scene) -> None:
    for function in (scene.directory.heartbeat, scene.directory.disconnect):
        with pytest.raises(Unknown):
            scene.ask(function, "nobody")


@pytest.mark.parametrize("contact", ["", "bob", "http://x", "sip:", "sip:" + "a" * 300 + "@b", "sip:a@b\r\nX: y"])
def test_contacts_are_sip_addresses(scene: Scene, contact: str) -> None:
    with pytest.raises(BadRequest):
        scene.register("bob", contact)


def test_ten_contacts_are_enough(scene: Scene) -> None:
    scene.register("bob", *[f"sip:bob@10.0.0.{number}" for number in range(10)])
    with pytest.raises(BadRequest):
        scene.register("bob", *[f"sip:bob@10.0.0.{number}" for number in range(11)])


def test_a_registration_is_acknowledged_when_it_is_durable_and_not_before(scene: Scene) -> None:
    replies: list[object] = []
    scene.store.held = True
    scene.directory.register(Registration("bob"), replies.append)
    assert replies == []
    scene.store.finish()
    (user,) = replies
    assert isinstance(user, User)
    assert scene.store.changes == [SaveUser(user)]


def test_one_that_the_database_does_not_take_is_refused(scene: Scene) -> None:
    scene.store.refusal = NotStored("full")
    with pytest.raises(NotStored):
        scene.register("bob")


def test_watchers_are_told_of_changes_until_they_stop(scene: Scene) -> None:
    told: list[None] = []
    stop = scene.directory.watch(lambda: told.append(None))
    bob = scene.register("bob")
    assert told
    count = len(told)
    scene.ask(scene.directory.heartbeat, bob.id)
    assert len(told) == count  # it is as it was
    stop()
    scene.register("alice")
    assert len(told) == count
