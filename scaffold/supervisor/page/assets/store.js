// What the fleet tells, as the views read it. One connection, held while the page can be seen.

const TOKEN = document.querySelector('meta[name="fleet-token"]').content;
const MOST_REQUESTS = 400;
const MOST_LINES = 1000;
const MOST_SECONDS = 300;

export const store = {
  fleet: null,
  /** By service, what its last seconds were like: [time, requests, errors, p50, p99]. */
  seconds: new Map(),
  /** The newest last. */
  requests: [],
  lines: [],
};

const listeners = new Map();

/** Call a function for each `fleet`, `requests`, `lines`, `begin` (all of it anew) or `state`. */
export function on(kind, listener) {
  listeners.set(kind, [...(listeners.get(kind) ?? []), listener]);
}

function tell(kind, ...what) {
  for (const listener of listeners.get(kind) ?? []) listener(...what);
}

/** Ask the page's own server; what changes something carries the token. */
export async function ask(path, options = {}) {
  const response = await fetch(path, {
    ...options,
    headers: { ...options.headers, "X-Fleet-Token": TOKEN },
  });
  const told = await response.json();
  if (!response.ok) throw new Error(told.reason || told.message || response.statusText);
  return told;
}

/** Ask a service through the page's address, with the body of its answer as text. */
export async function askService(service, path, options) {
  const began = performance.now();
  const response = await fetch(`/_fleet/to/${encodeURIComponent(service)}${path}`, {
    ...options,
    redirect: "manual",
    headers: { ...options.headers, "X-Fleet-Token": TOKEN },
  });
  const text = await response.text();
  return { response, text, seconds: (performance.now() - began) / 1000 };
}

function takeFleet(fleet) {
  store.fleet = fleet;
  for (const service of fleet.services) {
    const known = store.seconds.get(service.name) ?? [];
    for (const second of service.seconds) {
      const place = known.findLastIndex((each) => each[0] <= second[0]);
      if (place >= 0 && known[place][0] === second[0]) known[place] = second;
      else known.splice(place + 1, 0, second);
    }
    known.splice(0, known.length - MOST_SECONDS);
    store.seconds.set(service.name, known);
  }
}

/** Add what is new by its number, and return it. */
function take(kept, told, most) {
  const last = kept.at(-1)?.number ?? 0;
  const added = told.filter((each) => each.number > last);
  kept.push(...added);
  if (kept.length > most) kept.splice(0, kept.length - most);
  return added;
}

let source = null;

function connect() {
  source?.close();
  source = new EventSource("/_fleet/events");
  const heard = (kind, take) =>
    source.addEventListener(kind, (event) => take(JSON.parse(event.data)));
  heard("hello", (told) => {
    if (store.began && store.began !== told.fleet.since) {
      location.reload(); // another `up`, with another token
      return;
    }
    store.began = told.fleet.since;
    store.name = told.name;
    store.seconds.clear();
    store.requests = told.requests;
    store.lines = told.lines;
    takeFleet(told.fleet);
    tell("state", "live");
    tell("begin");
  });
  heard("fleet", (fleet) => {
    takeFleet(fleet);
    tell("fleet");
  });
  heard("requests", (told) => tell("requests", take(store.requests, told.requests, MOST_REQUESTS)));
  heard("lines", (told) => tell("lines", take(store.lines, told.lines, MOST_LINES), told.omitted));
  source.onerror = () => {
    tell("state", "lost");
    // A browser gives up where the answer is an error.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  };
}

/** A page that cannot be seen has no connection: a browser has six of them for all its tabs. */
export function begin() {
  const look = () => {
    if (!document.hidden) connect();
    else {
      source?.close();
      source = null;
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
}
