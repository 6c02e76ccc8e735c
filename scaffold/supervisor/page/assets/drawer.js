// The panel at the side, in which one thing is looked at.

import { find, h } from "./dom.js";
import { on } from "./store.js";

let update = null;

on("begin", () => update?.());
on("fleet", () => update?.());

/** Show what has a title; `draws` is called now, and as often as the fleet tells something. */
export function open(title, content, draws = null) {
  const drawer = find("drawer");
  drawer.replaceChildren(
    h("header", {}, h("h2", {}, title), h("button", { class: "quiet", "aria-label": "Close", onclick: leave }, "✕")),
    h("div", { class: "body" }, content),
  );
  drawer.hidden = false;
  delete drawer.dataset.request;
  document.body.classList.add("looking");
  update = draws;
  draws?.();
}

export function close() {
  find("drawer").hidden = true;
  delete find("drawer").dataset.request;
  document.body.classList.remove("looking");
  update = null;
}

/** Go back to the view behind it. */
function leave() {
  location.hash = document.body.dataset.view;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !find("drawer").hidden) leave();
});
