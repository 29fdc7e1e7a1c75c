"""How fast the sender's clock runs against ours, and what to do about it.

Network delay only ever adds, so the smallest transit of each second lies near a line, and the slope of that line is
the drift. Crystals are within 200 ppm: 12 ms a minute, against tens of milliseconds of jitter.
"""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
from numpy.typing import NDArray

_Doubles = NDArray[np.float64]
PPM = 1e-6


class DriftEstimator:
    """Tells from the moments at which a counter was seen how much faster it runs than the clock that timed them.

    The counter is the sender's RTP time, seen when a packet arrives; or the samples that a sound card has taken, seen
    when it asks for more. The difference of two such estimates is the drift of the one against the other.
    """

    BIN: Final = 1.0
    """Seconds of which the smallest value counts."""
    WINDOW: Final = 180.0
    """Seconds of history: temperature changes a crystal more slowly."""
    MIN_BINS: Final = 10
    """Bins before anything is said."""
    CERTAIN: Final = 5.0
    """ppm of standard error below which an estimate is given."""
    PLAUSIBLE: Final = 1000.0
    """ppm beyond which it is not a clock that drifts, but a queue that fills."""
    NOISE: Final = 30e-6
    """Seconds of spread that bins have at least: the resolution of operating systems."""
    ROUNDS: Final = 4
    """Fits, each of which gives less weight to the bins that lay above the last one."""
    OFTEN: Final = 30
    """Fits in the time that the history spans: the longer it is, the less a bin changes."""
    STEP: Final = 0.002
    """Seconds off the line, at least, that may mean another route."""
    SPREADS: Final = 6.0
    """And so many times the spread."""
    RISEN: Final = 4
    """Bins in a row above the line that mean another route."""
    FALLEN: Final = 2
    """And below it: falling is believed sooner, as no jitter makes packets early."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another stream, another clock: begin anew."""
        self._ppm: float | None = None
        self._error: float | None = None
        self._begun: float | None = None
        self._lowest = (0.0, 0.0)
        self._bins = array("d"), array("d"), array("d")  # times, smallest values, routes
        self._odd: list[tuple[float, float, float]] = []  # time, smallest value, how far off the line
        self._route = 0
        self._line: tuple[float, float, float] | None = None  # time and value of a point on it, slope
        self._spread = 0.0
        self._unfitted = 0.0  # bins since the last fit

    @property
    def ppm(self) -> float | None:
        """Parts per million by which the counter runs faster; None until that is known well enough."""
        return self._ppm

    @property
    def error(self) -> float | None:
        """The standard error of the latest fit in ppm; None before the first."""
        return self._error

    def add(self, value: float, at: float) -> None:
        """The counter was seen at `at`; `value` is `at` less what the counter said, both in seconds."""
        if self._begun is None:
            self._begun, self._lowest = at, (at, value)
        elif at - self._begun >= self.BIN:
            self._close()
            self._begun, self._lowest = at, (at, value)
        elif value < self._lowest[1]:
            self._lowest = (at, value)

    def _close(self) -> None:
        """The smallest value of a bin: of this route, or off the line, which is believed when the next ones agree."""
        at, value = self._lowest
        off = self._off(at, value)
        if self._odd and off * self._odd[-1][2] <= 0.0:
            self._odd = []  # it was a matter of seconds
        if off == 0.0:
            self._note(at, value)
        else:
            self._odd.append((at, value, off))
            if len(self._odd) < (self.RISEN if off > 0.0 else self.FALLEN):
                return
            self._route += 1
            for then, lowest, _ in self._odd:
                self._note(then, lowest)
            self._odd = []
            self._unfitted = self.WINDOW
        times = self._bins[0]
        while at - times[0] > self.WINDOW:
            for column in self._bins:
                del column[0]
        self._unfitted += 1
        if len(times) >= self.MIN_BINS // 2 and self._unfitted > len(times) / self.OFTEN:
            self._fit()

    def _note(self, at: float, value: float) -> None:
        """One more bin, of the present route."""
        for column, entry in zip(self._bins, (at, value, float(self._route)), strict=True):
            column.append(entry)

    def _off(self, at: float, value: float) -> float:
        """Seconds off the line; 0 if that is no more than usual."""
        if self._line is None:
            return 0.0
        time, level, slope = self._line
        off = value - level - slope * (at - time)
        return off if abs(off) > max(self.STEP, self.SPREADS * self._spread) else 0.0

    def _fit(self) -> None:
        """One slope for all routes, one level for each."""
        self._unfitted = 0.0
        times, values, numbers = map(np.array, self._bins)
        origin, first = times[0], values[0]
        times, values = times - origin, values - first
        routes = (numbers - numbers[0]).astype(np.intp)
        weights = np.ones(len(times))
        for _ in range(self.ROUNDS):
            slope, leverage, residuals = _slope(times, values, routes, weights)
            spread = max(self.NOISE, 1.5 * _median(np.abs(residuals)))
            weights = 1.0 / (1.0 + np.square(np.maximum(residuals, 0.0) / spread))
        self._line = float(origin + times[-1]), float(first + values[-1] - residuals[-1]), slope
        self._spread = spread
        if leverage <= 0.0:
            return
        self._error = _standard_error(residuals, weights, leverage, self.NOISE) / PPM
        plausible = abs(slope) < self.PLAUSIBLE * PPM
        if len(times) >= self.MIN_BINS and self._error < self.CERTAIN and plausible:
            self._ppm = -slope / PPM


def _slope(
    times: _Doubles, values: _Doubles, routes: NDArray[np.intp], weights: _Doubles
) -> tuple[float, float, _Doubles]:
    """Weighted least squares with a level for each route: the slope, sum of squared times, what is left."""
    total = np.maximum(np.bincount(routes, weights), 1e-12)
    x = times - (np.bincount(routes, weights * times) / total)[routes]
    y = values - (np.bincount(routes, weights * values) / total)[routes]
    leverage = float(weights @ (x * x))
    slope = float(weights @ (x * y)) / leverage if leverage > 0.0 else 0.0
    return slope, leverage, y - slope * x


def _median(values: _Doubles) -> float:
    """As numpy's own, which first imports masked arrays: 10 ms on the thread that plays."""
    ordered = np.sort(values)
    return float(ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2.0


def _standard_error(residuals: _Doubles, weights: _Doubles, leverage: float, noise: float) -> float:
    """Of the slope. Bins that resemble their neighbours count for less: queues last longer than one bin."""
    weighted = residuals * np.sqrt(weights)
    power = float(weighted @ weighted)
    variance = max(power / max(float(weights.sum()) - 2.0, 1.0), noise**2)
    alike = min(max(float(weighted[1:] @ weighted[:-1]) / power, 0.0), 0.9) if power > 0.0 else 0.0
    return float(np.sqrt(variance / leverage * (1.0 + alike) / (1.0 - alike)))


class DriftCorrection:
    """The ratio at which a stream is to be resampled: the drift, and a little more or less while the delay is off.

    It stays exactly 1 until a drift is known that is worth it; from then on it follows.
    """

    MAX_CORRECTION: Final = 500 * PPM
    """The most that the ratio departs from 1: more than crystals do, less than an ear hears (3000 ppm)."""
    WORTH: Final = 10.0
    """ppm that are left to time-scaling, a pitch period in a quarter of an hour, while nothing is corrected yet."""
    CORRECTION_TIME: Final = 100.0
    """Seconds in which an error of the delay is corrected."""
    MAX_ERROR: Final = 0.010
    """Seconds of error that count; more is not for the resampler to correct."""
    SLEW: Final = 20 * PPM
    """The most that the ratio changes in a second."""

    def __init__(self) -> None:
        self.ratio = 1.0
        """As `update` last gave it."""
        self._active = False
        self._updated: float | None = None

    def update(self, ppm: float | None, error: float, now: float) -> float:
        """The ratio from `now` on; above 1 plays faster.

        `ppm`: how much faster the sender's clock is than the reader's; None if that is not known. `error`: seconds of
        delay beyond what is aimed at.
        """
        elapsed = 0.0 if self._updated is None else min(max(now - self._updated, 0.0), 1.0)
        self._updated = now
        if not self._active:
            self._active = ppm is not None and abs(ppm) > self.WORTH
            return self.ratio
        wanted = min(max(error, -self.MAX_ERROR), self.MAX_ERROR) / self.CORRECTION_TIME + (ppm or 0.0) * PPM
        wanted = min(max(wanted, -self.MAX_CORRECTION), self.MAX_CORRECTION)
        change = self.SLEW * elapsed
        self.ratio = 1.0 + min(max(wanted, self.ratio - 1.0 - change), self.ratio - 1.0 + change)
        return self.ratio
