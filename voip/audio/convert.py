"""Sound from one format to another: sample rate and channels together."""

from __future__ import annotations

from voip.dsp import Pcm, Resampler, to_channels


class Converter:
    """Converts a stream from one (rate, channels) to another; equal formats pass through untouched."""

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        """VoipError if the rates differ and no resampler is installed."""
        self._channels = target[1]
        self._narrow = min(source[1], target[1])  # resampled with the fewer channels
        self._resampler = Resampler(source[0], target[0], self._narrow)

    def process(self, pcm: Pcm) -> Pcm:
        """What is ready of the converted sound; possibly nothing yet."""
        return to_channels(self._resampler.process(to_channels(pcm, self._narrow)), self._channels)

    def flush(self) -> Pcm:
        """What has been held back, at the end of the stream."""
        return to_channels(self._resampler.flush(), self._channels)

    @property
    def delay(self) -> float:
        """Seconds of sound held back."""
        return self._resampler.delay

    @property
    def delay_to_come(self) -> float:
        """Seconds by which `delay` will rise when `ratio` leaves 1."""
        return self._resampler.delay_to_come

    @property
    def ratio(self) -> float:
        """How many samples go in for each one that nominally should; see `Resampler.ratio`."""
        return self._resampler.ratio

    def set_ratio(self, ratio: float) -> None:
        """Follow the source's clock; see `Resampler.set_ratio`."""
        self._resampler.set_ratio(ratio)
