// What a person chooses: whom to call and on which terms, and the devices. The program says what there is.

const USUAL = { input: [["mic", "the system's microphone"], ["silence", "none: silence"]], output: [["speaker", "the system's speaker"], ["null", "none: not heard"]] };
const PREFIX = "now: ";
const SOURCES = { mdns: "on this network", directory: "by the directory" };
const FRESH = 30_000; // milliseconds for which a list of names is not asked for again

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
    this.directory = "";
    this.asked = -Infinity;
    byId("target").addEventListener("focus", () => this.offerNames());
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
    this.directory = offered.has("browse") ? about.directory : "";
    byId("sound").hidden = !offered.has("device");
    byId("codec").replaceChildren(option("", "as started"), ...about.codecs.map((name) => option(name, name)));
    if (!byId("target").value && about.target) {
      byId("target").value = about.target;
    }
    this.shown = {};
  }

  // Where there is a directory its names are offered without a search: to ask it is quick, and disturbs nobody.
  offerNames() {
    if (this.directory && performance.now() - this.asked > FRESH) {
      this.asked = performance.now();
      this.ask("browse");
    }
  }

  dial(target) {
    const [codec, fec] = [byId("codec").value, byId("fec").value];
    this.ask("dial", { target, codec, fec, bitrate: bitRate(byId("bitrate").value) });
  }

  // Only what has changed is drawn anew: a list must not be replaced while a person is in it.
  show(program) {
    const { running, error, found } = program.heard;
    this.part("search", [running, error, found.length], () => this.showSearch(program.heard));
    this.part("found", found, () => this.showFound(found));
    this.part("listed", [program.listed, program.devices], () => this.showDevices(program));
  }

  part(name, value, draw) {
    const text = JSON.stringify(value);
    if (this.shown[name] !== text) {
      this.shown[name] = text;
      draw(value);
    }
  }

  showSearch(heard) {
    byId("browse").disabled = heard.running;
    byId("browse").textContent = heard.running ? "Searching …" : "Search";
    const none = byId("found-none");
    if (heard.error) {
      none.textContent = heard.error;
    } else if (heard.done) {
      const nobody = "No receiver announces itself here (receiver.py --announce).";
      none.textContent = this.directory ? `${nobody} Nobody else is at the directory ${this.directory}.` : nobody;
    }
    none.hidden = heard.found.length > 0 && !heard.error;
  }

  showFound(found) {
    byId("targets").replaceChildren(...found.map((each) => this.suggestion(each)));
    byId("found").replaceChildren(...found.map((each) => this.neighbour(each)));
  }

  // A name of the directory is asked for anew when it is called: its owner may have moved by then.
  suggestion({ name, uri, by }) {
    const isName = by === "directory" && !/[.:@/[\]%]/.test(name);
    return isName ? option(name, `${SOURCES[by]}, ${uri}`) : option(uri, `${name}, ${SOURCES[by]}`);
  }

  neighbour({ name, uri, by, facts }) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    const said = Object.entries(facts).map(([fact, value]) => `${fact} ${value}`);
    const small = [uri, SOURCES[by], ...said].join("  ·  ");
    button.append(Object.assign(document.createElement("small"), { textContent: small }));
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
