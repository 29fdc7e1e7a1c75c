// What a person chooses: whom to call and on which terms, and the devices. The program says what there is.

const USUAL = { input: [["mic", "the system's microphone"], ["silence", "none: silence"]], output: [["speaker", "the system's speaker"], ["null", "none: not heard"]] };
const PREFIX = "now: ";

const byId = (id) => document.getElementById(id);

function option(value, text) {
  return Object.assign(document.createElement("option"), { value, textContent: text });
}

// The number of kbit/s as bit/s, null for none.
export function bitRate(text) {
  return text.trim() === "" ? null : Math.round(Number(text) * 1000);
}

export class Choices {
  constructor(ask) {
    this.ask = ask;
    this.shown = {};
    byId("dial").addEventListener("submit", (event) => {
      event.preventDefault();
      this.dial(byId("target").value.trim());
    });
    byId("bitrate").addEventListener("invalid", () => {
      byId("terms").open = true; // what is wrong has to be seen
    });
    byId("browse").addEventListener("click", () => ask("browse"));
    byId("look").addEventListener("click", () => ask("devices"));
    for (const way of ["input", "output"]) {
      byId(way).addEventListener("change", ({ target }) => {
        if (target.value) {
          ask("device", { way, device: target.value });
          target.value = "";
        }
      });
    }
  }

  begin(about) {
    const offered = new Set(about.commands);
    byId("begin").hidden = !offered.has("dial");
    byId("browse").parentElement.hidden = !offered.has("browse");
    byId("sound").hidden = !offered.has("device");
    byId("codec").replaceChildren(option("", "as started"), ...about.codecs.map((name) => option(name, name)));
    if (!byId("target").value && about.target) {
      byId("target").value = about.target;
    }
    this.shown = {};
  }

  dial(target) {
    const [codec, fec] = [byId("codec").value, byId("fec").value];
    this.ask("dial", { target, codec, fec, bitrate: bitRate(byId("bitrate").value) });
  }

  // Only what has changed is drawn anew: a list must not be replaced while a person is in it.
  show(program) {
    this.part("heard", program.heard, (heard) => this.showFound(heard));
    this.part("listed", [program.listed, program.devices], () => this.showDevices(program));
  }

  part(name, value, draw) {
    const text = JSON.stringify(value);
    if (this.shown[name] !== text) {
      this.shown[name] = text;
      draw(value);
    }
  }

  showFound(heard) {
    byId("browse").disabled = heard.running;
    byId("browse").textContent = heard.running ? "Searching …" : "Search";
    byId("targets").replaceChildren(...heard.found.map((each) => option(each.uri, each.name)));
    byId("found").replaceChildren(...heard.found.map((each) => this.neighbour(each)));
    const none = byId("found-none");
    none.hidden = heard.found.length > 0;
    if (heard.error) {
      none.textContent = heard.error;
    } else if (heard.done) {
      none.textContent = "No receiver announces itself here (receiver.py --announce).";
    }
  }

  neighbour({ name, uri, facts }) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    const said = Object.entries(facts).map(([fact, value]) => `${fact} ${value}`);
    button.append(Object.assign(document.createElement("small"), { textContent: [uri, ...said].join("  ·  ") }));
    button.addEventListener("click", () => {
      byId("target").value = uri;
      byId("target").focus();
    });
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  showDevices({ devices, listed }) {
    const problems = [];
    for (const way of ["input", "output"]) {
      const used = devices[way];
      byId(`${way}-device`).hidden = used === null;
      if (used === null) {
        continue;
      }
      const current = used.opening ? "opening …" : `${PREFIX}${used.description}`;
      const found = listed[way].map((each) => [each.spec, each.usual ? `${each.name} (usual)` : each.name]);
      const choices = [...USUAL[way], ...found];
      byId(way).replaceChildren(option("", current), ...choices.map(([spec, name]) => option(spec, name)));
      byId(way).disabled = used.opening;
      byId(`${way}-device`).querySelector(".used").textContent = used.available ? "" : used.problem ?? "It is gone: silence until it is back.";
      if (used.failed) {
        problems.push(`${byId(`${way}-device`).querySelector("label").textContent}: ${used.failed}`);
      }
      if (!used.available) {
        problems.push(used.problem ?? `${used.description} is unavailable: silence until it is back`);
      }
    }
    byId("look").disabled = listed.running;
    byId("look").textContent = listed.running ? "Looking …" : "Look for devices";
    byId("device-problem").textContent = [...problems, listed.error ?? ""].filter(Boolean).join("\n");
    byId("device-problem").hidden = byId("device-problem").textContent === "";
  }
}
