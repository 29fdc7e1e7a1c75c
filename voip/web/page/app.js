// The connection of the page: states come in, commands go out; it comes back by itself when it was lost.

import { Choices } from "./choices.js";
import { CallView, duration, eventLine } from "./view.js";

const MOST_LINES = 200;
const AGAIN_AFTER = 1000; // milliseconds

const byId = (id) => document.getElementById(id);
const token = location.hash.slice(1);
const views = new Map();
let socket = null;
let number = 0;
let title = "voip";
let program = { offered: new Set(), gainLimit: 0 };
let listening = "";

function say(problem) {
  byId("problem").textContent = problem ?? "";
  byId("problem").hidden = !problem;
}

function ask(command, given = {}) {
  if (socket?.readyState !== WebSocket.OPEN) {
    say("not connected to the program");
    return;
  }
  say(null);
  number += 1;
  socket.send(JSON.stringify({ ...given, number, do: command }));
}

function begin(about) {
  title = byId("title").textContent = `${about.program} ${about.version}`;
  program = { offered: new Set(about.commands), gainLimit: about.gain_limit ?? 0 };
  choices.begin(about);
  byId("idle-title").textContent = program.offered.has("dial") ? "No call yet" : "Waiting for a call";
  byId("all").hidden = !program.offered.has("hold");
  byId("text").maxLength = about.longest_text ?? 0;
  listening = program.offered.has("dial") ? "Say whom to call, and press Start." : "";
  views.forEach((view) => view.root.remove());
  views.clear();
  byId("events").replaceChildren();
}

function downloadButton(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.addEventListener("click", () => download(name));
  return button;
}

async function download(name) {
  const link = document.createElement("a");
  link.href = `download/${encodeURIComponent(name)}`;
  if (!token) {
    link.download = "";
    link.click();
    return;
  }
  const response = await fetch(link.href, { headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
  if (!response?.ok) {
    say(`${name}: it cannot be had`);
    return;
  }
  link.href = URL.createObjectURL(await response.blob());
  const named = /filename\*=UTF-8''(\S+)/.exec(response.headers.get("Content-Disposition") ?? "");
  link.download = named ? decodeURIComponent(named[1]) : name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function show(state) {
  if (state.program) {
    showProgram(state.program);
  }
  const seen = new Set();
  for (const call of state.calls) {
    seen.add(call.call_id);
    let view = views.get(call.call_id);
    if (!view) {
      view = new CallView(call, byId("call-template"), ask, program);
      views.set(call.call_id, view);
      byId("calls").prepend(view.root);
    }
    view.show(call, state.samples[call.call_id] ?? [], state.now);
  }
  for (const [id, view] of views) {
    if (!seen.has(id)) {
      view.root.remove();
      views.delete(id);
    }
  }
  byId("idle").hidden = seen.size > 0;
  const up = state.calls.filter((call) => call.end_reason === null && !call.rings);
  byId("all").hidden = !program.offered.has("hold") || up.length === 0;
  byId("hold").textContent = up.length && up.every((call) => call.held) ? "Resume" : "Hold";
  document.title = up.length ? `${duration(up.at(-1).duration_s)} ${title}` : title;
  const said = state.events.findLast((event) => event.event === "listening");
  listening = said ? said.text : listening;
  byId("idle-hint").textContent = listening;
  const list = byId("events");
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  list.append(...state.events.map(eventLine));
  while (list.children.length > MOST_LINES) {
    list.firstElementChild.remove();
  }
  if (atEnd && state.events.length) {
    list.scrollTop = list.scrollHeight;
  }
}

// What is of no single call, whenever it has changed.
function showProgram(state) {
  choices.show(state);
  byId("microphone").hidden = state.microphone_muted === null;
  byId("microphone").setAttribute("aria-pressed", String(state.microphone_muted === true));
  byId("files").hidden = state.downloads.length === 0;
  byId("downloads").replaceChildren(...state.downloads.map(downloadButton));
}

function connect() {
  const address = new URL("live", location.href);
  address.protocol = "ws:";
  address.hash = "";
  socket = new WebSocket(address, token ? [`bearer.${token}`] : []);
  socket.addEventListener("open", () => {
    byId("connection").textContent = "connected";
    byId("connection").className = "";
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "about") {
      begin(message);
    } else if (message.type === "state") {
      show(message);
    } else if (message.error) {
      say(message.error);
    }
  });
  socket.addEventListener("close", () => {
    byId("connection").textContent = "the program does not respond; trying again";
    byId("connection").className = "lost";
    setTimeout(connect, AGAIN_AFTER);
  });
}

byId("say").addEventListener("submit", (event) => {
  event.preventDefault();
  ask("text", { text: byId("text").value });
  byId("say").reset();
});

byId("microphone").addEventListener("click", ({ target }) => {
  ask("mute-microphone", { muted: target.getAttribute("aria-pressed") !== "true" });
});

byId("hold").addEventListener("click", () => ask("hold"));

const choices = new Choices(ask);
connect();
