"""A sound device that is not there yet is waited for (--device-wait), in virtual time; a wrong option is not."""

from __future__ import annotations

from typing import cast

import pytest

from tests.support.sound import Time
from voip.cli.wiring import await_device
from voip.devices import Device
from voip.devices.choice import MICROPHONE, DeviceInfo, choose
from voip.errors import DeviceError, Stopped

FOUND = cast(Device, object())


def waiting(
    patience: float, there_after: float, *, may_come: bool = True, stop_after: float = 1e9
) -> tuple[Device, list[str]]:
    time, said = Time(0.0), list[str]()

    def open_device() -> Device:
        if time.now < there_after:
            raise DeviceError("no microphone found", may_come=may_come)
        return FOUND

    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        return time.now >= stop_after

    return await_device(open_device, patience, said.append, pause=pause, clock=time.clock), said


def test_a_device_that_comes_in_time_is_opened_and_the_wait_is_told_once() -> None:
    device, said = waiting(30.0, 12.5)
    assert device is FOUND
    assert said == ["waiting for a sound device: no microphone found"]


def test_a_device_that_is_there_is_not_waited_for() -> None:
    assert waiting(30.0, 0.0) == (FOUND, [])


@pytest.mark.parametrize(
    ("patience", "may_come"),
    [(0.0, True), (5.0, True), (30.0, False)],
)
def test_the_error_is_that_of_the_last_look(patience: float, may_come: bool) -> None:
    with pytest.raises(DeviceError, match="no microphone found"):
        waiting(patience, 12.5, may_come=may_come)


def test_who_is_told_to_end_while_it_waits_reports_no_fault_of_the_device() -> None:
    with pytest.raises(Stopped):
        waiting(30.0, 12.5, stop_after=2.0)


def test_what_is_missing_may_come_and_what_is_ambiguous_may_not() -> None:
    def microphone(index: int) -> DeviceInfo:
        return DeviceInfo(index, f"usb {index}", "ALSA", 1, 0, 48000, 0.01, 0.01, index == 0, False)

    for devices, wanted, may_come in (
        ([], "", True),
        ([microphone(0)], "scarlett", True),
        ([microphone(0), microphone(1)], "usb", False),
    ):
        with pytest.raises(DeviceError) as caught:
            choose(devices, wanted, MICROPHONE)
        assert caught.value.may_come is may_come
