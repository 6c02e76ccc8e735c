// The lines of all services in one list, with search; older ones are asked for.

import { clock, find, h, once, plural, short, write } from "./dom.js";
import { ask, on, store } from "./store.js";

const MOST_ROWS = 600;
const LEVELS = ["debug", "info", "warning", "error", "critical"];
/** Shown in the line itself, or in a place of their own. */
const APART = new Set(["request_id", "trace_id", "span_id", "exception", "stack", "route", "method", "path", "client", "bytes_received", "bytes_sent"]);

/** Lines that the server has found for a search, of all that are kept. */
let found = [];
let asked = 0;

export function showLogs() {
  const list = find("log-list");
  const render = once(draw);
  const search = () => {
    found = [];
    list.scrollTop = list.scrollHeight;
    render();
    clearTimeout(asked);
    asked = setTimeout(lookBack, 250);
  };
  for (const id of ["log-search", "log-service", "log-level"]) {
    find(id).addEventListener("input", search);
    find(id).addEventListener("change", search);
  }
  on("begin", () => {
    found = [];
    list.replaceChildren();
    render();
    lookBack();
  });
  on("lines", append);
  // What is not shown does not scroll.
  addEventListener("hashchange", () => requestAnimationFrame(() => {
    list.scrollTop = list.scrollHeight;
  }));
  find("log-latest").addEventListener("click", () => {
    list.scrollTop = list.scrollHeight;
  });
  list.addEventListener("scroll", () => {
    find("log-latest").hidden = isAtEnd(list);
  });
}

const isAtEnd = (list) => list.scrollHeight - list.scrollTop - list.clientHeight < 40;

/** Say whether less than all lines are wanted. */
const isSearch = () => ["log-search", "log-service", "log-level"].some((id) => find(id).value);

function filter() {
  const words = find("log-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const service = find("log-service").value;
  const lowest = LEVELS.indexOf(find("log-level").value);
  return (entry) => {
    if (service && entry.service !== service) return false;
    if (lowest > 0 && LEVELS.indexOf(entry.level ?? "info") < lowest) return false;
    if (!words.length) return true;
    const fields = Object.entries(entry.fields).map(([name, value]) => `${name}=${value}`);
    const text = `${entry.message} ${fields.join(" ")}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

/** Ask for lines that the page was not told, or has no more. */
async function lookBack() {
  clearTimeout(asked);
  asked = 0;
  if (!isSearch()) return;
  const [q, service, level] = ["log-search", "log-service", "log-level"].map((id) => find(id).value);
  const query = new URLSearchParams({ q, services: service, level });
  const told = await ask(`/_fleet/logs?${query}`).catch(() => found);
  if (q !== find("log-search").value || service !== find("log-service").value || level !== find("log-level").value) return;
  found = told;
  draw();
}

function draw() {
  const list = find("log-list");
  const stays = isAtEnd(list);
  const known = new Map([...found, ...store.lines].map((entry) => [entry.number, entry]));
  const matching = [...known.values()].filter(filter()).sort((one, other) => one.number - other.number).slice(-MOST_ROWS);
  list.replaceChildren(...rows(matching, 0));
  if (stays) list.scrollTop = list.scrollHeight;
  tellEmpty();
}

/** Make the rows of lines, and between them of how many were left out; `last` was before them. */
function rows(entries, last) {
  const isWhole = !isSearch();
  return entries.flatMap((entry) => {
    const omitted = isWhole && last ? entry.number - last - 1 : 0;
    last = entry.number;
    return [...(omitted ? [h("li", { class: "omitted" }, `${plural(omitted, "more line")}; the search finds ${omitted === 1 ? "it" : "them"}`)] : []), line(entry)];
  });
}

function append(added, omitted) {
  const list = find("log-list");
  const stays = isAtEnd(list);
  list.append(...rows(added.filter(filter()), store.lines.at(-added.length - 1)?.number ?? 0));
  if (omitted && isSearch() && !asked) asked = setTimeout(lookBack, 1000);
  // What is read is not moved: old lines leave when the newest ones are looked at.
  if (stays) while (list.childElementCount > MOST_ROWS) list.firstElementChild.remove();
  else while (list.childElementCount > 2 * MOST_ROWS) list.firstElementChild.remove();
  if (stays) list.scrollTop = list.scrollHeight;
  find("log-latest").hidden = stays;
  tellEmpty();
}

function tellEmpty() {
  const isEmpty = !find("log-list").childElementCount;
  find("log-empty").hidden = !isEmpty;
  write(find("log-empty"), store.lines.length ? "No line is like that." : "No line yet.");
}

/** Make the row of a line; more of it is shown when it is opened. */
export function line(entry) {
  const fields = Object.entries(entry.fields);
  const told = fields.filter(([name]) => !APART.has(name)).map(([name, value]) => (
    name === "status" ? value : name === "duration_ms" ? `${value} ms` : `${name}=${value}`));
  const level = entry.level ?? "plain";
  const row = h("li", { class: "line", "data-level": level, "data-source": entry.source },
    h("time", {}, clock(entry.time)),
    h("span", { class: "who", title: entry.service }, short(entry.service)),
    h("span", { class: "text" },
      level === "info" || level === "plain" ? null : h("span", { class: "level" }, level),
      entry.message, told.length ? h("span", { class: "fields" }, ` ${told.join("  ")}`) : null));
  row.addEventListener("click", () => {
    if (getSelection().toString()) return;
    const more = row.querySelector(".more");
    if (more) more.remove();
    else row.append(details(entry, fields));
    row.classList.toggle("open", !more);
  });
  return row;
}

function details(entry, fields) {
  const shown = fields.filter(([name]) => name !== "exception" && name !== "stack");
  const id = entry.fields.request_id;
  return h("div", { class: "more", onclick: (event) => event.stopPropagation() },
    h("dl", { class: "facts" },
      h("dt", {}, "time"), h("dd", {}, clock(entry.time, 3)),
      h("dt", {}, "level"), h("dd", {}, entry.level ?? "no line of a log"),
      shown.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, name === "request_id"
        ? h("a", { href: `#request/${encodeURIComponent(id)}` }, id) : value)])),
    ["exception", "stack"].filter((name) => entry.fields[name]).map((name) => h("pre", { class: "trouble" }, entry.fields[name])));
}
