// Charts of the last minutes, up to five, as SVG: one or two lines over time, a grid, and the newest value in words.

const SVG = "http://www.w3.org/2000/svg";
const NARROWEST = 160;
const HEIGHT = 112;
const LEFT = 36;
const BOTTOM = 16;
const TOP = 6;
const SPANS = [60, 120, 300]; // seconds that a chart shows, the first that all samples fit into
export const SECONDS = SPANS.at(-1);

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  return made;
}

// The next of 1, 2 and 5 times a power of ten: where the axis ends.
export function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 5, 10].find((each) => each * power >= value * 0.999);
  return factor * power;
}

// Samples as the path of a line; where one is unknown, or seconds are missing, it is interrupted.
export function path(samples, name, now, top, width, span) {
  const parts = [];
  let before = null;
  for (const [at, sample] of samples) {
    const value = sample[name];
    if (value === null || value === undefined) {
      before = null;
      continue;
    }
    const x = LEFT + (width - LEFT) * Math.max(0, 1 - (now - at) / span);
    const y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - Math.min(1, value / top));
    parts.push(`${before !== null && at - before < 2.5 ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
    before = at;
  }
  return parts.join("");
}

// What is under a line, down to the axis.
export function area(line) {
  const floor = HEIGHT - BOTTOM;
  return line.split("M").filter(Boolean).map((piece) => {
    const points = piece.split("L");
    const [first, last] = [points[0], points.at(-1)].map((point) => point.split(" ")[0]);
    return `M${first} ${floor}L${points.join("L")}L${last} ${floor}Z`;
  }).join("");
}

// `names` are the figures of a sample, the first in front; `least` is where the axis ends at least.
export class Chart {
  constructor(title, unit, names, labels, least) {
    Object.assign(this, { title, unit, names, labels, least });
    this.figure = document.createElement("figure");
    this.svg = element("svg", { class: "chart", role: "img" });
    this.caption = document.createElement("figcaption");
    this.grid = [0, 0.5, 1].map((share) => {
      const y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - share);
      return [share, element("line", { class: "grid", x1: LEFT, y1: y, y2: y }), element("text", { x: LEFT - 4, y: y + 4, "text-anchor": "end" })];
    });
    this.begin = element("text", { x: LEFT, y: HEIGHT - 3 });
    this.end = element("text", { y: HEIGHT - 3, "text-anchor": "end" });
    this.end.textContent = "now";
    this.lines = names.map((_, i) => element("path", { class: i ? "second" : "first" }));
    this.area = element("path", { class: "area" });
    this.svg.append(...this.grid.flatMap(([, ...drawn]) => drawn), this.area, this.begin, this.end, ...this.lines.toReversed());
    this.figure.append(this.caption, this.svg);
  }

  draw(samples, now) {
    const known = samples.flatMap(([, each]) => this.names.map((name) => each[name])).filter((value) => value !== null);
    this.figure.hidden = known.length === 0;
    if (this.figure.hidden) {
      return;
    }
    const top = ceiling(Math.max(this.least, ...known));
    const scale = HEIGHT / Math.max(HEIGHT, this.svg.clientHeight); // letters grow with those of the page
    const width = Math.max(NARROWEST, this.svg.clientWidth * scale);
    const span = SPANS.find((seconds) => now - samples[0][0] <= seconds) ?? SECONDS;
    this.begin.textContent = `${span / 60} min ago`;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.grid.forEach(([share, line, text]) => {
      line.setAttribute("x2", width);
      text.textContent = String(Number((share * top).toPrecision(3)));
    });
    this.end.setAttribute("x", width);
    this.names.forEach((name, i) => this.lines[i].setAttribute("d", path(samples, name, now, top, width, span)));
    this.area.setAttribute("d", area(this.lines[0].getAttribute("d")));
    this.describe(samples.at(-1)[1]);
  }

  describe(newest) {
    const known = this.names.flatMap((name, i) => ((newest[name] ?? null) === null ? [] : [[newest[name], i]]));
    const words = known.map(([value, i]) => {
      const span = document.createElement("span");
      span.className = i ? "second" : "first";
      const figure = `${Math.round(value * 100) / 100} ${this.unit}`;
      span.textContent = `${this.labels[i]} ${figure}`.trim();
      return span;
    });
    const bold = Object.assign(document.createElement("b"), { textContent: `${this.title}: ` });
    this.caption.replaceChildren(bold, ...words.flatMap((span, i) => (i ? [", ", span] : [span])));
    this.svg.setAttribute("aria-label", this.caption.textContent);
  }
}
