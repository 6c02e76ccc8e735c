// The table of services, and what is known of one of them.

import { age, bytes, count, duration, find, h, plural, rate, write } from "./dom.js";
import { draw, numbers, sparkline, steps } from "./chart.js";
import { close, open } from "./drawer.js";
import { ask, on, store } from "./store.js";

const METRICS = ["rate", "errors", "p50", "p99"];
const WRITERS = { rate, errors: count, p50: duration, p99: duration };
const rows = new Map();

export function showServices() {
  on("begin", update);
  on("fleet", update);
}

function update() {
  const services = store.fleet.services;
  const names = new Set(services.map((service) => service.name));
  for (const [name, row] of rows) {
    if (names.has(name)) continue;
    row.element.remove();
    rows.delete(name);
  }
  services.forEach((service, place) => {
    if (!rows.has(service.name)) rows.set(service.name, makeRow(service.name));
    const row = rows.get(service.name);
    const body = find("service-rows");
    if (body.children[place] !== row.element) body.insertBefore(row.element, body.children[place] ?? null);
    row.update(service);
  });
}

/** What a service has alone; or else what its process has, which is others' too. */
const memory = (service) => (service.shared_memory ? `${bytes(service.shared_memory)} shared` : bytes(service.memory));

/** Whether an older process serves, since the newer one did not start. */
export const isBehind = (service) => service.state === "ready" && service.reason !== "";
const stateOf = (service) => (isBehind(service) ? "ready (older code)" : service.state);

function makeRow(name) {
  const state = h("span", { class: "state" });
  const reason = h("span", { class: "reason" });
  const cells = {
    state: h("td", { class: "cell-state" }, state),
    port: h("td", { class: "number cell-port" }),
    pid: h("td", { class: "number cell-pid" }),
    memory: h("td", { class: "number cell-memory" }),
    ready: h("td", { class: "cell-ready" }),
    revision: h("td", { class: "cell-revision roomy" }),
    version: h("td", { class: "cell-version roomy" }),
  };
  const metrics = METRICS.map((metric) => {
    const value = h("span", { class: "value" });
    const line = sparkline(metric);
    return { metric, value, line, cell: h("td", { class: `metric metric-${metric}` }, value, line) };
  });
  const restart = h("button", { class: "quiet", title: "Another process takes over", onclick: (event) => {
    event.stopPropagation();
    restartService(name, restart);
  } }, "Restart");
  const element = h("tr", { "data-service": name, onclick: () => (location.hash = `service/${encodeURIComponent(name)}`) },
    h("th", { scope: "row" }, h("a", { href: `#service/${encodeURIComponent(name)}` }, name), reason),
    Object.values(cells), metrics.map((each) => each.cell), h("td", { class: "actions" }, restart));

  return {
    element,
    update(service) {
      element.dataset.state = service.state;
      state.dataset.state = isBehind(service) ? "behind" : service.state;
      write(state, stateOf(service));
      write(reason, service.reason.split("\n")[0]);
      reason.hidden = !service.reason;
      write(cells.port, String(service.port));
      write(cells.pid, service.pid === null ? "–" : String(service.pid) + (service.processes > 1 ? ` +${service.processes - 1}` : ""));
      write(cells.memory, memory(service));
      const readiness = service.ready === null ? "…" : service.ready ? "healthy" : service.health;
      write(cells.ready, readiness);
      cells.ready.dataset.ready = service.ready;
      cells.ready.title = readiness;
      const { current, pending } = store.fleet.database;
      write(cells.revision, current.join(", ") || "–");
      cells.revision.dataset.behind = pending.length > 0;
      cells.revision.title = pending.length ? `${plural(pending.length, "migration")} pending` : "the newest";
      write(cells.version, store.fleet.templates ?? "–");
      cells.version.title = `Templates ${store.fleet.templates ?? "–"}, framework ${service.framework ?? "–"}`;
      const seconds = store.seconds.get(service.name) ?? [];
      const now = Date.now() / 1000;
      const told = numbers(seconds, now);
      const lines = steps(seconds, now);
      for (const { metric, value, line, cell } of metrics) {
        write(value, service.processes || seconds.length ? WRITERS[metric](told[metric]) : "–");
        draw(line, lines[metric]);
        if (metric === "errors") cell.dataset.some = told.errors > 0;
      }
    },
  };
}

export async function restartService(name, button) {
  button.disabled = true;
  write(button, "Restarting…");
  try {
    await ask(`/_fleet/services/${encodeURIComponent(name)}/restart`, { method: "POST" });
    write(button, "Restarted");
  } catch (error) {
    write(button, "Failed");
    button.title = error.message;
  }
  setTimeout(() => {
    button.disabled = false;
    write(button, "Restart");
  }, 1500);
}

/** Show a service in the drawer, as it changes. */
export function showService(name) {
  const facts = h("dl", { class: "facts" });
  const charts = METRICS.map((metric) => ({ metric, value: h("b", {}), line: sparkline(metric) }));
  const labels = { rate: "Requests/s", errors: "Errors", p50: "p50", p99: "p99" };
  const restart = h("button", { class: "primary", onclick: () => restartService(name, restart) }, "Restart");
  const reason = h("pre", { class: "trouble", hidden: true });
  const page = h("a", { class: "button", target: "_blank", rel: "noreferrer" }, "Its documentation");
  const only = (view) => h("button", { class: "quiet", onclick: () => {
    find(view === "logs" ? "log-service" : "request-service").value = name;
    find(view === "logs" ? "log-service" : "request-service").dispatchEvent(new Event("change"));
    close();
    location.hash = view;
  } }, view === "logs" ? "Only its logs" : "Only its requests");
  const draws = () => {
    const service = store.fleet.services.find((each) => each.name === name);
    if (!service) return;
    page.href = `http://${location.hostname}:${service.port}/api/v1/docs`;
    write(reason, service.reason);
    reason.hidden = !service.reason;
    const { pool } = service;
    const { database } = store.fleet;
    const told = [
      ["State", `${stateOf(service)}, for ${age(service.since)}`],
      ["Health", service.ready ? "healthy, and ready" : service.health || "…"],
      ["Address", `http://localhost:${service.port}/api/v1/`],
      ["Process", service.pid === null ? "none" : `${service.pid}${service.processes > 1 ? `, ${service.processes} shared` : ""}`],
      ["Restarts", String(service.restarts)],
      ["Memory", memory(service)],
      ["In progress", plural(service.running, "request")],
      ["Event loop", service.lag === null ? "–" : service.lag < 0.001 ? "on time" : `${duration(service.lag)} late at most`],
      ["Connections", pool ? `${pool.lent} in use, ${pool.idle} idle, ${pool.waiting} waiting, of ${pool.limit}` : "–"],
      ["Revision", `${database.current.join(", ") || "–"}${database.pending.length ? `, ${plural(database.pending.length, "migration")} pending` : ", the newest"}`],
      ["Templates", store.fleet.templates ?? "–"],
      ["Framework", service.framework ?? "–"],
    ];
    if (facts.children.length !== told.length * 2) {
      facts.replaceChildren(...told.flatMap(([title]) => [h("dt", {}, title), h("dd", {})]));
    }
    told.forEach(([, text], place) => write(facts.children[place * 2 + 1], text));
    const seconds = store.seconds.get(name) ?? [];
    const now = Date.now() / 1000;
    const figures = numbers(seconds, now);
    const lines = steps(seconds, now);
    for (const { metric, value, line } of charts) {
      write(value, WRITERS[metric](figures[metric]));
      draw(line, lines[metric]);
    }
  };
  open(name, [
    h("div", { class: "buttons" }, restart, only("requests"), only("logs"), page),
    reason,
    h("div", { class: "charts" }, charts.map(({ metric, value, line }) =>
      h("figure", {}, h("figcaption", {}, labels[metric], value), line))),
    facts,
  ], draws);
}
