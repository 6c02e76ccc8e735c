// The page: which view is shown, and what is above all of them.

import { find, h, plural, rate, write } from "./dom.js";
import { numbers } from "./chart.js";
import { showDatabase } from "./database.js";
import { close } from "./drawer.js";
import { showLogs } from "./logs.js";
import { showRequest, showRequests } from "./requests.js";
import { showRoute, showRoutes } from "./routes.js";
import { isBehind, showService, showServices } from "./services.js";
import { begin, on, store } from "./store.js";

const VIEWS = ["services", "requests", "logs", "routes", "database"];

/** Decode a part of the address, which a stranger may have written. */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function go() {
  const [what, ...names] = location.hash.slice(1).split("/").map(decode);
  const isView = VIEWS.includes(what) || !what;
  if (isView) document.body.dataset.view = what || "services";
  for (const link of document.querySelectorAll(".nav a")) {
    const isShown = link.dataset.view === document.body.dataset.view;
    if (isShown) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isView) {
    close();
    return;
  }
  if (!store.fleet) return; // once it is known
  if (what === "request") showRequest(names.join("/"));
  else if (what === "service") showService(names[0]);
  else if (what === "route") showRoute(...names);
}

function summarise() {
  const { services } = store.fleet;
  const now = Date.now() / 1000;
  let requests = 0;
  let errors = 0;
  for (const { name } of services) {
    const told = numbers(store.seconds.get(name) ?? [], now);
    requests += told.rate;
    errors += told.errors;
  }
  const ready = services.filter((service) => service.state === "ready").length;
  const summary = find("summary");
  const behind = services.filter(isBehind).length;
  summary.dataset.bad = ready < services.length || behind > 0;
  write(summary, `${ready} of ${services.length} ready${behind ? ` (${behind} with older code)` : ""} · ${rate(requests)} requests/s · ${plural(errors, "error")}`);
  const title = ready < services.length ? `${services.length - ready} not ready – ${store.name}` : store.name;
  if (document.title !== title) document.title = title;
  write(find("name"), store.name);
}

/** Keep the names of services in the selections. */
function name() {
  const names = store.fleet.services.map((service) => service.name);
  for (const [id, more] of [["request-service", []], ["log-service", ["database", "fleet"]]]) {
    const select = find(id);
    const wanted = ["", ...names, ...more];
    if (wanted.join("\n") === [...select.options].map((option) => option.value).join("\n")) continue;
    const { value } = select;
    select.replaceChildren(...wanted.map((each) => h("option", { value: each }, each || "All services")));
    select.value = wanted.includes(value) ? value : "";
  }
}

on("state", (state) => {
  const live = find("live");
  live.dataset.state = state;
  write(live, state === "live" ? "live" : "no connection");
});
for (const kind of ["begin", "fleet"]) {
  on(kind, () => {
    summarise();
    name();
  });
}
on("begin", go);
addEventListener("hashchange", go);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, textarea, select")) return;
  const view = document.body.dataset.view;
  const field = find(view === "routes" ? "route-search" : view === "requests" ? "request-search" : "log-search");
  event.preventDefault();
  field.focus();
});

showServices();
showRequests();
showLogs();
showRoutes();
showDatabase();
go();
begin();
