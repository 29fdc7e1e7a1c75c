"""The sender's clock against the one that pulls our sound: measured, and followed by resampling."""

from __future__ import annotations

from voip.jitter.drift import DriftCorrection, DriftEstimator
from voip.rtp import RtpPacket, unwrap

SIGNIFICANT = 4.0
"""Standard errors by which a drift must differ from none before the sound is touched for it."""


class DeviceClock:
    """The clock of what takes the sound, by the samples that it takes: one for all streams that it plays."""

    def __init__(self) -> None:
        self._estimator, self._taken = DriftEstimator(), 0.0

    def pull(self, seconds: float, now: float) -> None:
        """The device takes so much sound."""
        self._estimator.add(now - self._taken, now)
        self._taken += seconds

    @property
    def ppm(self) -> float | None:
        """Parts per million by which it is faster than ours; None until that is known."""
        return self._estimator.ppm

    @property
    def error(self) -> float:
        """The standard error of that, in ppm."""
        return self._estimator.error or 0.0


class ClockFollower:
    """Watches both clocks by the time of ours: the sender's in its timestamps, the device's in the samples it takes."""

    def __init__(self, clock_rate: int, device: DeviceClock | None = None) -> None:
        """`clock_rate` of the timestamps, in Hz. `device`: told by its owner what it takes; None: by `pull`."""
        self._clock_rate = clock_rate
        self._sender, self._device, self._is_told = DriftEstimator(), device or DeviceClock(), device is None
        self._correction = DriftCorrection()
        self._timestamp: int | None = None
        self._follows = False

    @property
    def ppm(self) -> float | None:
        """How many parts per million the sender's clock is faster than the device's; None until that is known."""
        sender, device = self._sender.ppm, self._device.ppm
        return None if sender is None or device is None else sender - device

    @property
    def _error(self) -> float:
        return (self._sender.error or 0.0) + self._device.error

    def packet(self, packet: RtpPacket, arrival: float) -> None:
        """A media packet has come."""
        near = packet.timestamp if self._timestamp is None else self._timestamp
        self._timestamp = unwrap(packet.timestamp, near, 32)
        self._sender.add(arrival - self._timestamp / self._clock_rate, arrival)

    def pull(self, seconds: float, now: float) -> None:
        """The device takes so much sound of this stream: of no matter where it plays several."""
        if self._is_told:
            self._device.pull(seconds, now)

    def ratio(self, excess: float, now: float) -> float:
        """How many samples should go in for each that comes out; `excess`: seconds of delay beyond the target."""
        ppm = self.ppm
        if not self._follows and ppm is not None:
            self._follows = abs(ppm) > SIGNIFICANT * self._error
        return self._correction.update(ppm if self._follows else None, excess, now)

    def renew(self, clock_rate: int) -> None:
        """Another codec, another sender: what is known of the device stays."""
        self._clock_rate = clock_rate
        self._timestamp = None
        self._sender.reset()
