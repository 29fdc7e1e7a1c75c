"""Pictures as SVG text: lines over a grid, readable on light and on dark pages. No plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 236, 44, 56  # margins in pixels; the legend is on the right
_STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:13px;fill:#24292f}
.title{font-size:15px;font-weight:600}
.grid{stroke:#d0d7de;stroke-width:1}
.axis{stroke:#57606a;stroke-width:1.2}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.page{fill:#ffffff}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}
.grid{stroke:#30363d}
.axis{stroke:#8b949e}
.page{fill:#0d1117}
}
"""
COLOURS = ("#0969da", "#d1570a", "#2da44e", "#a475f9", "#bf8700", "#e85aad", "#1b9aaa", "#8c959f")
"""Of the series in turn; the first is ours. Each stands out from white and from nearly black."""
_DASHES = ("", "7 4", "2 4", "9 3 2 3", "4 3", "12 4", "1 3", "6 2 1 2")
_MARK = 4.0  # radius


@dataclass(frozen=True)
class Series:
    """One line: its name in the legend and points (x, y); `style` keeps its colour the same in all pictures."""

    name: str
    points: tuple[tuple[float, float], ...]
    style: int = 0


@dataclass(frozen=True)
class Axis:
    """What it shows with its unit, and the values with a line of the grid, the first and the last at the ends."""

    label: str
    ticks: tuple[float, ...]

    @property
    def span(self) -> tuple[float, float]:
        return self.ticks[0], self.ticks[-1]

    def place(self, value: float) -> float:
        """0 at the first tick, 1 at the last."""
        low, high = self.span
        return (min(max(value, low), high) - low) / (high - low)


@dataclass(frozen=True)
class Picture:
    """A diagram of lines."""

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]

    def svg(self) -> str:
        """The whole file."""
        body = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" role="img" aria-label="{escape(self.title)}">',
            f"<style>{_STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
            f'<text class="title" x="{_LEFT}" y="26">{escape(self.title)}</text>',
            *self._axes(),
        ]
        for index, series in enumerate(self.series):
            body += self._line(series)
            body += self._legend(index, series)
        return "\n".join([*body, "</svg>"]) + "\n"

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point; what is beyond an axis lies on its end."""
        width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        return _LEFT + width * self.x.place(x), _TOP + height * (1 - self.y.place(y))

    def _axes(self) -> list[str]:
        left, bottom = self.at(self.x.span[0], self.y.span[0])
        right, top = self.at(self.x.span[1], self.y.span[1])
        parts = []
        for tick in self.y.ticks:
            _, y = self.at(self.x.span[0], tick)
            parts.append(f'<line class="grid" x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        for tick in self.x.ticks:
            x, _ = self.at(tick, self.y.span[0])
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 20:.1f}" text-anchor="middle">{tick:g}</text>')
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        parts.append(f'<line class="axis" x1="{left:.1f}" y1="{bottom:.1f}" x2="{right:.1f}" y2="{bottom:.1f}"/>')
        parts.append(f'<line class="axis" x1="{left:.1f}" y1="{bottom:.1f}" x2="{left:.1f}" y2="{top:.1f}"/>')
        parts.append(f'<text x="{middle_x:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(self.x.label)}</text>')
        parts.append(
            f'<text transform="translate(18 {middle_y:.1f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y.label)}</text>"
        )
        return parts

    def _line(self, series: Series) -> list[str]:
        colour, dash = _look(series)
        points = [self.at(x, y) for x, y in series.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        line = f'<polyline class="line" stroke="{colour}"{dashes} points="{path}"/>'
        return [line, *(_mark(series.style, x, y) for x, y in points)]

    def _legend(self, index: int, series: Series) -> list[str]:
        left, y = WIDTH - _RIGHT + 16, _TOP + 10 + 24 * index
        colour, dash = _look(series)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        return [
            f'<line class="line" stroke="{colour}"{dashes} x1="{left}" y1="{y}" x2="{left + 30}" y2="{y}"/>',
            _mark(series.style, left + 15.0, float(y)),
            f'<text x="{left + 38}" y="{y + 4}">{escape(series.name)}</text>',
        ]


def _look(series: Series) -> tuple[str, str]:
    """Colour and dashes."""
    return COLOURS[series.style % len(COLOURS)], _DASHES[series.style % len(_DASHES)]


def _mark(style: int, x: float, y: float) -> str:
    """Circles, squares and diamonds in turn: colours alone do not tell everybody the lines apart."""
    colour, r = COLOURS[style % len(COLOURS)], _MARK
    if style % 3 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" fill="{colour}"/>'
    if style % 3 == 1:
        return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r:g}" height="{2 * r:g}" fill="{colour}"/>'
    corners = f"{x:.1f},{y - r - 1:.1f} {x + r + 1:.1f},{y:.1f} {x:.1f},{y + r + 1:.1f} {x - r - 1:.1f},{y:.1f}"
    return f'<polygon points="{corners}" fill="{colour}"/>'
