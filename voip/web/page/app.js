// The connection of the page: states come in, commands go out; it comes back by itself when it was lost.

import { CallView, eventLine } from "./view.js";

const MOST_LINES = 200;
const AGAIN_AFTER = 1000; // milliseconds

const byId = (id) => document.getElementById(id);
const token = location.hash.slice(1);
const views = new Map();
let socket = null;
let number = 0;
let program = { offered: new Set(), gainLimit: 0 };

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
  document.title = byId("title").textContent = `${about.program} ${about.version}`;
  program = { offered: new Set(about.commands), gainLimit: about.gain_limit ?? 0 };
  byId("dial").hidden = !program.offered.has("dial");
  byId("all").hidden = !program.offered.has("hold");
  byId("text").maxLength = about.longest_text ?? 0;
  byId("files").hidden = about.downloads.length === 0;
  byId("downloads").replaceChildren(...about.downloads.map(downloadButton));
  const options = (about.targets ?? []).map((target) => Object.assign(document.createElement("option"), { value: target }));
  byId("targets").replaceChildren(...options);
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
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(`download/${encodeURIComponent(name)}`, { headers });
  if (!response.ok) {
    say(`${name}: there is none yet`);
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = /filename="([^"]*)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function show(state) {
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
  byId("all").hidden = !program.offered.has("hold") || !state.calls.some((call) => call.end_reason === null && !call.rings);
  byId("microphone").hidden = state.microphone_muted === null || state.microphone_muted === undefined;
  byId("microphone").setAttribute("aria-pressed", String(state.microphone_muted === true));
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

byId("dial").addEventListener("submit", (event) => {
  event.preventDefault();
  ask("dial", { target: byId("target").value.trim() });
});

byId("say").addEventListener("submit", (event) => {
  event.preventDefault();
  ask("text", { text: byId("text").value });
  byId("say").reset();
});

byId("microphone").addEventListener("click", ({ target }) => {
  ask("mute-microphone", { muted: target.getAttribute("aria-pressed") !== "true" });
});

byId("hold").addEventListener("click", () => ask("hold"));

connect();
