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

function duration(seconds) {
  const whole = Math.floor(seconds);
  const two = (value) => String(value).padStart(2, "0");
  return `${Math.floor(whole / 3600) ? `${Math.floor(whole / 3600)}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

// The figures of a call that a person asks for, without those that are unknown.
export function figures(call) {
  const { rx, tx, timing, fec, quality, remote } = call;
  const named = [
    ["codec", call.codec],
    ["encrypted", call.encrypted === null ? null : call.encrypted ? "yes" : "no"],
    ["media address", call.media_address && call.media_address.join(" port ")],
    ["MOS", number(quality.mos_lq ?? remote.mos_lq, "", 2)],
    ["received", rx && `${rx.received} packets, ${Math.round((rx.ip_bytes ?? 0) / 1024)} KiB`],
    ["lost", rx && `${rx.lost} (${number(rx.lost_pct ?? 0, "%", 2)})`],
    ["recovered by FEC", rx && String(rx.recovered)],
    ["sent", tx && `${tx.packets} packets, ${Math.round(tx.ip_bytes / 1024)} KiB`],
    ["repair packets", tx && `${tx.fec_packets} (${number(fec.overhead_pct, "%")})`],
    ["lost there", remote.fraction_lost === null ? null : number(100 * remote.fraction_lost, "%", 2)],
    ["delay", number(timing.one_way_ms.total, "ms")],
    ["round trip", number(timing.rtt_ms, "ms", 1)],
    ["limit of the line", number(tx?.congestion.limit_kbps, "kbit/s")],
  ];
  return named.filter(([, value]) => value !== null && value !== undefined && value !== false);
}

function phase(call) {
  if (call.end_reason !== null) {
    return `ended after ${duration(call.duration_s)} (${call.end_reason})`;
  }
  if (call.rings) {
    return call.direction === "incoming" ? "rings" : "calling";
  }
  return `${call.direction}, ${duration(call.duration_s)}`;
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
    this.root.setAttribute("aria-label", `call with ${call.peer}`);
  }

  show(call, samples, now) {
    this.samples = [...this.samples, ...samples].filter(([at]) => now - at <= SECONDS);
    this.part("peer").textContent = call.peer;
    this.part("phase").textContent = phase(call);
    this.part("verdict").textContent = call.verdict.join("\n");
    this.showFigures(figures(call));
    this.showMeter("heard", "Heard here", call.meters.rx, call);
    this.showMeter("spoken", "Sent from here", call.meters.tx, call);
    this.showButtons(call);
    this.showLoudness(call);
    if (samples.length) {
      this.charts.forEach((chart) => chart.draw(this.samples, now));
    }
    this.root.classList.toggle("over", call.end_reason !== null);
  }

  showFigures(list) {
    const rows = list.map(([name, value]) => {
      const row = document.createElement("div");
      const term = document.createElement("dt");
      const words = document.createElement("dd");
      term.textContent = name;
      words.textContent = value;
      row.append(term, words);
      return row;
    });
    this.part("figures").replaceChildren(...rows);
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
      made.words.textContent = `${label}: ${dbfs === null ? "silence" : `${dbfs.toFixed(0)} dBFS`}`;
    }
  }

  // Mute and volume of what is heard: a click or a moved slider asks, the state of the program is what is shown.
  showLoudness(call) {
    const there = call.end_reason === null && call.heard !== null && this.offered.has("adjust");
    if (there && this.loudness === null) {
      this.loudness = this.makeLoudness(call.call_id);
      this.part("meters").after(this.loudness.holder);
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
    const made = wanted.map(([words, command, main]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = words;
      button.className = main ? "main" : "";
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
      ? [["Answer", "answer", true], ["Decline", "decline", false]]
      : [["Stop", "hang-up", true]];
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
