// The last requests of the fleet, and what was done for one of them, statement by statement.

import { bytes, clock, duration, find, h, kind, once, plural, short, write } from "./dom.js";
import { open } from "./drawer.js";
import { line } from "./logs.js";
import { ask, on, store } from "./store.js";

const MOST_ROWS = 200;

export function showRequests() {
  const render = once(draw);
  for (const kind of ["begin", "requests"]) on(kind, render);
  // One that is looked at may not be whole yet: each service tells of it when it has answered.
  on("requests", (added) => {
    const looked = find("drawer").dataset.request;
    if (looked !== undefined && added.some((each) => each.id === looked)) showRequest(looked);
  });
  for (const id of ["request-search", "request-service", "request-failed"]) {
    find(id).addEventListener("input", render);
    find(id).addEventListener("change", render);
  }
}

/** By the numbers of requests, their rows: they are made once. */
const rows = new Map();

function draw() {
  const words = find("request-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const service = find("request-service").value;
  const failed = find("request-failed").checked;
  const callers = findCallers();
  const shown = [];
  let next = 0; // the number of the one that came after
  let omitted = 0;
  const tellOmitted = () => {
    if (omitted) shown.push(["", h("li", { class: "omitted" }, `${plural(omitted, "more request")}, too many at once to be told here`)]);
    omitted = 0;
  };
  for (let place = store.requests.length - 1; place >= 0 && shown.length < MOST_ROWS; place -= 1) {
    const request = store.requests[place];
    if (next) omitted += next - request.number - 1;
    next = request.number;
    if (service && request.service !== service) continue;
    if (failed && kind(request.status) !== "bad") continue;
    const text = `${request.method} ${request.path} ${request.rule} ${request.status} ${request.service} ${request.id}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    const caller = callers.get(request.id)?.find((each) => each.calls.includes(request.service));
    const known = `${request.number} ${caller?.service ?? ""}`;
    tellOmitted();
    if (!rows.has(known)) rows.set(known, row(request, caller));
    shown.push([known, rows.get(known)]);
  }
  tellOmitted();
  const list = find("request-list");
  const kept = new Set(shown.map(([known]) => known));
  for (const known of rows.keys()) if (!kept.has(known)) rows.delete(known);
  list.replaceChildren(...shown.map(([, element]) => element));
  find("request-empty").hidden = shown.length > 0;
  write(find("request-empty"), store.requests.length ? "No request is like that." : "No request yet.");
}

/** By the id that services have in common: the requests that have called others. */
function findCallers() {
  const found = new Map();
  for (const request of store.requests) {
    if (!request.calls.length) continue;
    if (!found.has(request.id)) found.set(request.id, []);
    found.get(request.id).push(request);
  }
  return found;
}

function row(request, caller) {
  const called = [...new Set(request.calls)];
  return h("li", { class: caller ? "called" : null },
    h("a", { href: `#request/${encodeURIComponent(request.id)}`, "data-request": request.id, title: `${request.path}\n${request.service}${called.length ? ` → ${called.join(", ")}` : ""}` },
      h("time", {}, clock(request.time, 2)),
      h("span", { class: "method" }, request.method),
      h("span", { class: "path" }, request.path),
      h("span", { class: "who" }, caller ? `${short(caller.service)} → ${short(request.service)}` : short(request.service),
        called.length ? h("span", { class: "calls" }, ` → ${called.map(short).join(", ")}`) : null),
      h("span", { class: `status ${kind(request.status)}` }, String(request.status ?? "left")),
      h("span", { class: "duration" }, duration(request.seconds))));
}

/** Show in the drawer what each service has done for a request. */
export async function showRequest(id) {
  if (find("drawer").dataset.request !== id) tell(id, h("p", { class: "empty" }, "…"));
  let found;
  let lines;
  try {
    [found, lines] = await Promise.all([
      ask(`/_fleet/requests?id=${encodeURIComponent(id)}`),
      ask(`/_fleet/logs?request=${encodeURIComponent(id)}`),
    ]);
  } catch (error) {
    if (find("drawer").dataset.request === id) tell(id, h("pre", { class: "trouble" }, error.message));
    return;
  }
  if (find("drawer").dataset.request !== id) return; // another one by now, or none
  if (!found.length && !lines.length) {
    tell(id, h("p", { class: "empty" }, "It has not been told yet, or is not kept any more."));
    return;
  }
  const first = found[0];
  const begin = first?.time ?? 0;
  const length = Math.max(...found.map((each) => each.time - begin + each.seconds), 0.000001);
  tell(id, [
    first ? h("p", { class: "title" }, h("span", { class: "method" }, first.method), h("span", { class: "path" }, first.path)) : null,
    h("dl", { class: "facts" },
      h("dt", {}, "Id"), h("dd", { class: "code" }, id),
      first?.trace_id ? [h("dt", {}, "Trace"), h("dd", { class: "code" }, first.trace_id)] : null,
      first ? [
        h("dt", {}, "Came"), h("dd", {}, `${clock(first.time, 3)} from ${first.client ?? "–"}`),
        h("dt", {}, "Bodies"), h("dd", {}, `${bytes(first.received)} in, ${bytes(first.sent)} out`),
      ] : null),
    h("ol", { class: "spans" }, found.map((each) => spans(each, begin, length))),
    lines.length ? h("h3", {}, "Lines of the log") : null,
    h("ol", { class: "list lines" }, lines.map((each) => line(each))),
  ]);
}

function tell(id, content) {
  open("Request", content);
  find("drawer").dataset.request = id;
}

function spans(request, begin, length) {
  const offset = request.time - begin;
  const steps = [
    ...(request.statements ?? []).map((step) => ({ ...step, what: "statement" })),
    ...(request.calls ?? []).map((step) => ({ ...step, what: "call" })),
  ].sort((one, other) => one.at - other.at);
  return h("li", { class: "span-group" },
    bar("request", offset, request.seconds, length,
      h("b", {}, request.service), ` ${request.method} ${request.rule ?? request.path}`,
      h("span", { class: `status ${kind(request.status)}` }, String(request.status ?? "left"))),
    request.statements === null ? h("p", { class: "hint" }, "Too many requests came at once to note what was done for this one.") : null,
    h("ol", {}, steps.map((step) => h("li", { class: "step" }, step.what === "call"
      ? bar("call", offset + step.at, step.seconds, length, "→ ", h("b", {}, step.service), ` ${step.operation}`,
        h("span", { class: `status ${kind(step.status)}` }, String(step.status ?? step.outcome)),
        step.attempts > 1 ? ` ${plural(step.attempts, "attempt")}` : "")
      : h("details", {},
        h("summary", {}, bar(step.error ? "statement failed" : "statement", offset + step.at, step.seconds, length, step.summary,
          step.error ? h("span", { class: "status bad" }, step.error.sqlstate ?? step.error.type) : null)),
        h("pre", { class: "sql" }, step.sql))))),
    request.omitted ? h("p", { class: "hint" }, `${plural(request.omitted, "more step")}, not told.`) : null);
}

function bar(kind, from, seconds, length, ...label) {
  const mark = h("i", { class: kind });
  // By the object model, which the page's policy allows; a style attribute it does not.
  mark.style.marginInlineStart = `${Math.max(0, Math.min(99, (from / length) * 100))}%`;
  mark.style.inlineSize = `${Math.max(0.6, Math.min(100, (seconds / length) * 100))}%`;
  return h("span", { class: "span" },
    h("span", { class: "label" }, label), h("span", { class: "duration" }, duration(seconds)), h("span", { class: "track" }, mark));
}
