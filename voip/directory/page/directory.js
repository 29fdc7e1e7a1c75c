// The users and calls of the directory, asked for every two seconds. What others have named is shown by textContent.

const INTERVAL_MS = 2000;
const token = location.hash.slice(1);
const byId = (id) => document.getElementById(id);

async function ask(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers });
  if (response.status === 401) {
    throw new Error("the token is missing or wrong: open the address that the directory has printed");
  }
  if (!response.ok) {
    throw new Error(`HTTP status ${response.status}`);
  }
  return response.json();
}

function row(...cells) {
  const line = document.createElement("tr");
  for (const text of cells) {
    const cell = document.createElement("td");
    cell.textContent = text;
    line.append(cell);
  }
  return line;
}

function time(moment) {
  return moment ? new Date(moment * 1000).toLocaleTimeString() : "";
}

function duration(call) {
  if (!call.answered || call.status === "unknown") {
    return "";
  }
  const seconds = Math.max(0, Math.round((call.ended || Date.now() / 1000) - call.answered));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function show(users, calls) {
  byId("users").replaceChildren(
    ...users.map((user) =>
      row(
        user.room ? `${user.username} (room)` : user.username,
        user.status,
        user.contacts.join(" "),
        time(user.last_heartbeat),
      ),
    ),
  );
  byId("calls").replaceChildren(
    ...calls.map((call) =>
      row(
        call.caller,
        call.callee,
        call.reason ? `${call.status}: ${call.reason}` : call.status,
        time(call.began),
        duration(call),
      ),
    ),
  );
  byId("no-users").hidden = users.length > 0;
  byId("no-calls").hidden = calls.length > 0;
}

async function look() {
  try {
    const [listed, recent] = await Promise.all([ask("/api/users/list?offline=1"), ask("/api/calls/list")]);
    show(listed.users, recent.calls);
    byId("state").textContent = "";
  } catch (error) {
    byId("state").textContent = `not up to date: ${error.message}`;
  }
  setTimeout(look, INTERVAL_MS);
}

look();
