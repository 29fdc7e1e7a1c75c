// What is seen of calls and events. Whatever a peer wrote becomes text, never markup.

import { Chart, SECONDS } from "./chart.js";

const FLOOR = -60; // dBFS at which a level meter is empty

function charts() {
  return [
    new Chart("Packets lost", "%", ["left", "loss"], ["after FEC", "on the network"], 5),
    new Chart("Delay", "ms", ["delay", "rtt"], ["mouth to ear", "round trip"], 100),
    new Chart("Jitter", "ms", ["jitter"], [""], 20),
    new Chart("Sent", "kbit/s", ["media", "repair"], ["media", "FEC"], 50),
    new Chart("Received", "kbit/s", ["rx"], [""], 50),
    new Chart("Quality", "MOS", ["mos"], [""], 5),
  ];
}

function number(value, unit, digits = 0) {
  return value === null || value === undefined ? null : `${value.toFixed(digits)} ${unit}`.trim();
}

function two(value) {
  return String(value).padStart(2, "0");
}

export function duration(seconds) {
  const whole = Math.floor(seconds);
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

function amount(packets, bytes) {
  const size = bytes >= 1024 * 1024 ? `${(bytes / 1024 / 1024).toFixed(1)} MiB` : `${Math.round(bytes / 1024)} KiB`;
  return `${packets} packets, ${size}${packets ? `, ${Math.round(bytes / packets)} bytes each` : ""}`;
}

// The figures of a call that a person asks for, without those that are unknown.
export function figures(call) {
  const { rx, tx, timing, fec, remote } = call;
  const named = [
    ["codec", call.codec && `${call.codec}, ${call.clock_rate} Hz, ${call.channels === 1 ? "mono" : "stereo"}`],
    ["encrypted", call.encrypted === null ? null : call.encrypted ? "yes" : "no"],
    ["sound to and from", call.media_address && call.media_address.join(" port ")],
    ["received", rx && amount(rx.received, rx.ip_bytes ?? 0)],
    ["lost", rx && `${rx.lost} (${number(rx.lost_pct ?? 0, "%", 2)})`],
    ["recovered by FEC", rx && String(rx.recovered)],
    ["sent", tx && amount(tx.packets + tx.fec_packets, tx.ip_bytes)],
    ["repair packets", fec.scheme && `${fec.packets} (${number(fec.overhead_pct, "%")}), ${fec.scheme}`],
    ["lost there", remote.fraction_lost === null ? null : number(100 * remote.fraction_lost, "%", 2)],
    ["round trip, mean", number(timing.rtt_mean_ms, "ms", 1)],
    ["jitter, most", rx && number(timing.jitter_max_ms, "ms", 1)],
    ["limit of the line", number(tx?.congestion.limit_kbps, "kbit/s")],
  ];
  return named.filter(([, value]) => value !== null && value !== undefined && value !== false);
}

const GOOD = 4.0; // MOS from which on a call is good, and from which on it is fair
const FAIR = 3.1;

function grade(mos) {
  return mos >= GOOD ? "good" : mos >= FAIR ? "fair" : "poor";
}

// The few figures of this moment that are shown large: name, value, class.
export function tiles(call, sample) {
  const { quality, remote, timing } = call;
  const mos = quality.mos_lq ?? remote.mos_lq;
  const lossOf = (value) => (value === null || value === undefined ? null : number(value, "%", value > 0 && value < 10 ? 1 : 0));
  const named = [
    ["MOS", number(mos, "", 2), mos === null ? "" : grade(mos)],
    ["lost now", lossOf(sample?.loss), ""],
    ["after FEC", lossOf(sample?.left), sample?.left > 0 ? "fair" : ""],
    ["mouth to ear", number(timing.one_way_ms.total, "ms"), ""],
    ["round trip", number(timing.rtt_ms, "ms", timing.rtt_ms < 10 ? 1 : 0), ""],
    ["jitter", number(sample?.jitter, "ms", 1), ""],
  ];
  return named.filter(([, value]) => value !== null);
}

function phase(call) {
  if (call.end_reason !== null) {
    return `ended after ${duration(call.duration_s)} (${call.end_reason})`;
  }
  if (call.rings) {
    return call.direction === "incoming" ? "rings" : "calling";
  }
  return `${call.direction}, ${duration(call.duration_s)}${call.held ? ", on hold" : ""}`;
}

function protection({ scheme, pattern, reason }) {
  if (pattern === null) {
    return reason ?? "";
  }
  const why = reason ? `. Why: ${/\): (.*)$/.exec(reason)?.[1] ?? reason}` : ", as it was begun";
  return `FEC sent: ${scheme} ${pattern}${why}`;
}

// Names and values in a list of definitions; what has not changed is left alone, so that text stays selected.
class Definitions {
  constructor(list) {
    this.list = list;
    this.rows = new Map();
  }

  show(named) {
    const names = named.map(([name]) => name);
    if (names.join() !== [...this.rows.keys()].join()) {
      this.rows = new Map(names.map((name) => [name, this.row(name)]));
      this.list.replaceChildren(...[...this.rows.values()].map(({ holder }) => holder));
    }
    for (const [name, value, kind = ""] of named) {
      const { words } = this.rows.get(name);
      write(words, value);
      if (words.className !== kind) {
        words.className = kind;
      }
    }
  }

  row(name) {
    const holder = document.createElement("div");
    const term = Object.assign(document.createElement("dt"), { textContent: name });
    const words = document.createElement("dd");
    holder.append(term, words);
    return { holder, words };
  }
}

function write(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

// One call on the page; `ask(do, arguments)` sends a command.
export class CallView {
  constructor(call, template, ask, { offered, gainLimit }) {
    this.root = template.content.firstElementChild.cloneNode(true);
    this.part = (name) => this.root.querySelector(`.${name}`);
    this.ask = ask;
    this.offered = offered;
    this.gainLimit = gainLimit;
    this.samples = [];
    this.charts = charts();
    this.part("charts").append(...this.charts.map((chart) => chart.figure));
    this.meters = new Map();
    this.buttons = "";
    this.loudness = null;
    this.figures = new Definitions(this.part("figures"));
    this.tiles = new Definitions(this.part("tiles"));
    this.part("keys").append(...[..."123A456B789C*0#D"].map((key) => this.keyButton(call.call_id, key)));
    this.root.setAttribute("aria-label", `call with ${call.peer}`);
  }

  show(call, samples, now) {
    this.samples = [...this.samples, ...samples].filter(([at]) => now - at <= SECONDS);
    write(this.part("peer"), call.peer);
    write(this.part("phase"), phase(call));
    write(this.part("verdict"), call.verdict.join("\n").replaceAll(/ {2,}/g, "  ·  "));
    write(this.part("fec"), protection(call.fec));
    this.tiles.show(call.end_reason === null ? tiles(call, this.samples.at(-1)?.[1]) : []);
    this.figures.show(figures(call));
    this.showMeter("heard", "Heard here", call.meters.rx, call);
    this.showMeter("spoken", "Sent from here", call.meters.tx, call);
    this.showButtons(call);
    this.showLoudness(call);
    this.part("keypad").hidden = !this.offered.has("keys") || call.end_reason !== null || call.rings;
    if (samples.length) {
      this.charts.forEach((chart) => chart.draw(this.samples, now));
    }
    this.root.classList.toggle("over", call.end_reason !== null);
    this.root.classList.toggle("ringing", call.rings && call.direction === "incoming");
    this.root.classList.toggle("held", call.held);
  }

  keyButton(callId, key) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: key });
    button.addEventListener("click", () => this.ask("keys", { call_id: callId, keys: key }));
    return button;
  }

  showMeter(key, label, dbfs, call) {
    const known = call.end_reason === null && (key === "heard" ? call.rx : call.tx) !== null;
    if (!this.meters.has(key) && known) {
      const holder = document.createElement("div");
      const id = `${key}-${Math.random().toString(36).slice(2)}`;
      const meter = document.createElement("meter");
      const words = document.createElement("label");
      Object.assign(meter, { id, min: FLOOR, max: 0, low: -45, high: -3, optimum: -20 });
      words.htmlFor = id;
      holder.append(words, meter);
      this.part("meters").append(holder);
      this.meters.set(key, { holder, meter, words });
    }
    const made = this.meters.get(key);
    if (made) {
      made.holder.hidden = !known;
      made.meter.value = dbfs ?? FLOOR;
      write(made.words, `${label}: ${dbfs === null ? "silence" : `${dbfs.toFixed(0)} dBFS`}`);
    }
  }

  // Mute and volume of what is heard: a click or a moved slider asks, the state of the program is what is shown.
  showLoudness(call) {
    const there = call.end_reason === null && call.heard !== null && this.offered.has("adjust");
    if (there && this.loudness === null) {
      this.loudness = this.makeLoudness(call.call_id);
      this.part("meters").append(this.loudness.holder);
    }
    if (this.loudness === null) {
      return;
    }
    const { holder, mute, slider, words } = this.loudness;
    holder.hidden = !there;
    if (there) {
      const gain = call.heard.gain_db ?? 0;
      mute.setAttribute("aria-pressed", String(call.heard.muted === true));
      if (document.activeElement !== slider) {
        slider.value = String(gain);
      }
      words.textContent = `Volume: ${gain > 0 ? "+" : ""}${gain.toFixed(0)} dB`;
    }
  }

  makeLoudness(callId) {
    const holder = document.createElement("div");
    const mute = document.createElement("button");
    const words = document.createElement("label");
    const slider = document.createElement("input");
    const id = `volume-${Math.random().toString(36).slice(2)}`;
    holder.className = "loudness";
    Object.assign(mute, { type: "button", textContent: "Mute" });
    Object.assign(slider, { id, type: "range", min: -this.gainLimit, max: this.gainLimit, step: 1 });
    words.htmlFor = id;
    const muted = () => mute.getAttribute("aria-pressed") === "true";
    const adjust = (silent) => this.ask("adjust", { call_id: callId, gain_db: Number(slider.value), muted: silent });
    mute.addEventListener("click", () => adjust(!muted()));
    slider.addEventListener("input", () => adjust(muted()));
    holder.append(mute, words, slider);
    return { holder, mute, slider, words };
  }

  showButtons(call) {
    const wanted = this.wanted(call);
    const key = wanted.map(([name]) => name).join();
    if (key === this.buttons) {
      return; // a button must not be replaced while it is pressed, or has the focus
    }
    this.buttons = key;
    const made = wanted.map(([words, command, kind]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = words;
      button.className = kind;
      button.addEventListener("click", () => this.ask(command, { call_id: call.call_id }));
      return button;
    });
    this.part("buttons").replaceChildren(...made);
  }

  wanted(call) {
    if (call.end_reason !== null) {
      return [];
    }
    const rings = call.rings && call.direction === "incoming";
    const all = rings
      ? [["Answer", "answer", "main"], ["Decline", "decline", "stop"]]
      : [["Stop", "hang-up", "stop"]];
    return all.filter(([, command]) => this.offered.has(command));
  }
}

export function eventLine(event) {
  const line = document.createElement("p");
  const time = document.createElement("time");
  time.textContent = event.time ?? "";
  line.className = event.event;
  line.append(time, ` ${event.text}`);
  return line;
}
