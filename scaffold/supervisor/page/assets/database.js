// The database, its revisions, and the migrations that it lacks.

import { bytes, count, duration, find, h, plural, write } from "./dom.js";
import { ask, on, store } from "./store.js";

let shown = "";

export function showDatabase() {
  const look = () => {
    const { pending } = store.fleet.database;
    find("pending-count").hidden = !pending.length;
    write(find("pending-count"), String(pending.length));
    drawNotice();
    if (document.body.dataset.view === "database") draw();
  };
  on("begin", look);
  on("fleet", look);
  addEventListener("hashchange", () => store.fleet && look());
}

function drawNotice() {
  const { database } = store.fleet;
  const notice = find("notice");
  const known = JSON.stringify([database.pending, database.state]);
  if (notice.dataset.known === known) return;
  notice.dataset.known = known;
  notice.hidden = !database.pending.length;
  if (notice.hidden) return;
  const [first] = database.pending;
  notice.replaceChildren(
    h("span", {}, h("b", {}, plural(database.pending.length, "pending migration")), `: ${first.message || first.id}`,
      database.pending.length > 1 ? ` and ${database.pending.length - 1} more` : ""),
    h("a", { class: "button", href: "#database" }, "Show its SQL"), apply());
}

function apply() {
  const button = h("button", { class: "primary apply", disabled: store.fleet.database.state === "migrating", onclick: async () => {
    button.disabled = true;
    write(button, "Applying…");
    try {
      await ask("/_fleet/migrate", { method: "POST" });
      write(button, "Applied");
    } catch (error) {
      write(button, "Apply");
      button.disabled = false;
      button.after(h("span", { class: "trouble" }, error.message));
    }
  } }, "Apply");
  return button;
}

function draw() {
  const { database, services } = store.fleet;
  const { activity } = database;
  const pools = services.filter((service) => service.pool);
  const inUse = activity ? activity.in_use / activity.connection_limit : 0;
  const known = JSON.stringify([database, pools.map((service) => service.pool)]);
  if (known === shown) return;
  shown = known;
  const place = find("database");
  const kept = place.querySelector(".pending");
  const names = JSON.stringify(database.pending);
  const pending = kept?.dataset.names === names ? kept : pendingOf(database, names);
  const tile = (title, value, about = "", bad = false) => h("div", { class: "tile", "data-bad": bad || null }, h("dt", {}, title), h("dd", {}, value), h("p", {}, about));
  place.replaceChildren(...[
    h("div", { class: "bar" }, h("h2", {}, "Database"), h("span", { class: "state", "data-state": database.state }, database.state),
      h("p", { class: "hint" }, `${database.address ?? "…"}${database.embedded ? ", embedded" : ""}`)),
    database.reason && !database.pending.length ? h("pre", { class: "trouble" }, database.reason) : null,
    h("dl", { class: "tiles" },
      tile("Size", bytes(activity?.size)),
      tile("Connections", activity ? String(activity.connections) : "–", activity ? `of ${activity.connection_limit}` : ""),
      tile("In use", activity ? String(activity.in_use) : "–", activity ? `${(inUse * 100).toFixed(0)} % of the limit` : ""),
      tile("Waiting", activity ? String(activity.waiting) : "–", "for a lock", activity?.waiting > 0),
      tile("Oldest transaction", !activity ? "–" : activity.oldest_transaction ? duration(activity.oldest_transaction) : "none"),
      tile("Revision", database.current.join(", ") || "none", database.pending.length ? `newest ${database.heads.join(", ")}` : "the newest", database.pending.length > 0)),
    pending,
    h("div", { class: "halves" },
      table("Slowest statements", "by the time that they took in all, of the requests that were told in detail",
        ["Statement", "Service", "Times", "Mean", "Slowest", "In all"],
        database.statements.map((each) => [h("code", { title: each.sql, onclick: (event) => event.target.closest("tr").classList.toggle("open") }, each.sql), each.service, count(each.count),
          duration(each.seconds / each.count), duration(each.slowest), duration(each.seconds)]), "No statement yet."),
      h("div", {},
        table("Connections of services", "", ["Service", "In use", "Idle", "Waiting", "Limit"],
          pools.map(({ name, pool }) => [name, ...[pool.lent, pool.idle, pool.waiting, pool.limit].map(String)]), "No service has told yet."),
        table("Largest tables", "", ["Table", "Rows", "Size"],
          (activity?.tables ?? []).map((each) => [each.name, `≈ ${count(each.rows)}`, bytes(each.size)]), activity ? "No table yet." : "The database is asked …"))),
  ].filter(Boolean));
}

function pendingOf(database, names) {
  if (!database.pending.length) return null;
  const sql = h("pre", { class: "sql" }, "…");
  ask("/_fleet/migrations").then((told) => write(sql, told.sql), (error) => write(sql, error.message));
  return h("section", { class: "pending", "data-names": names },
    h("h3", {}, plural(database.pending.length, "pending migration")),
    h("ul", {}, database.pending.map((each) => h("li", {}, h("code", {}, each.id), ` ${each.message}`))),
    sql, h("div", { class: "buttons" }, apply()));
}

function table(title, about, heads, rows, empty) {
  const isNumber = (column) => column > 0 && !["Service"].includes(heads[column]);
  return h("section", { class: "table" }, h("h3", {}, title, about ? h("span", { class: "hint" }, about) : null),
    rows.length ? h("div", { class: "scroll" }, h("table", { class: "grid" },
      h("thead", {}, h("tr", {}, heads.map((head, column) => h("th", { scope: "col", class: isNumber(column) ? "number" : null }, head)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, column) => h("td", { class: isNumber(column) ? "number" : null }, cell))))))) : h("p", { class: "empty" }, empty));
}
