// The routes of each service, from its OpenAPI document, and a form that tries one.

import { duration, find, h, kind, once, plural, write } from "./dom.js";
import { open } from "./drawer.js";
import { ask, askService, on, store } from "./store.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const documents = new Map();
/** By service, the reading of its document that is known. */
const known = new Map();

export function showRoutes() {
  const render = once(draw);
  find("route-search").addEventListener("input", render);
  const look = () => {
    if (document.body.dataset.view === "routes") load(render);
  };
  on("begin", look);
  on("fleet", look);
  addEventListener("hashchange", look);
}

async function load(render) {
  const behind = store.fleet.services.filter((service) => known.get(service.name) !== service.document);
  for (const service of behind) {
    known.set(service.name, service.document);
    try {
      documents.set(service.name, await ask(`/_fleet/services/${encodeURIComponent(service.name)}/document`));
      render();
    } catch {
      known.delete(service.name); // it has not told it yet
    }
  }
  if (!find("route-groups").childElementCount) render();
}

function* operations(contents) {
  for (const [path, item] of Object.entries(contents.paths ?? {})) {
    for (const method of METHODS) if (item[method]) yield { method, path, operation: item[method], shared: item.parameters ?? [] };
  }
}

function draw() {
  const words = find("route-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  find("route-groups").replaceChildren(...store.fleet.services.map((service) => {
    const contents = documents.get(service.name);
    const found = contents ? [...operations(contents)].filter(({ method, path, operation }) => {
      const text = `${service.name} ${method} ${path} ${operation.summary ?? ""}`.toLowerCase();
      return words.every((word) => text.includes(word));
    }) : [];
    if (words.length && !found.length) return h("div", { hidden: true });
    return h("section", { class: "group" },
      h("h3", {}, service.name, h("span", { class: "hint" }, contents ? plural(found.length, "route") : "has not told its routes yet")),
      h("ol", { class: "list" }, found.map((each) => h("li", {}, h("a", { href: address(service.name, each) },
        h("span", { class: `method ${each.method}` }, each.method.toUpperCase()),
        h("span", { class: "path" }, each.path),
        h("span", { class: "about" }, each.operation.summary ?? ""))))));
  }));
}

const address = (service, { method, path }) =>
  `#route/${[service, method, path].map(encodeURIComponent).join("/")}`;

/** Show in the drawer a form that asks a route through the page's own address. */
export async function showRoute(service, method, path) {
  if (!documents.has(service)) await load(() => {});
  const contents = documents.get(service);
  const item = contents?.paths?.[path];
  const operation = item?.[method];
  if (!operation) {
    open("Route", h("p", { class: "empty" }, "The service does not have it, or has not told its routes yet."));
    return;
  }
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((each) => resolve(contents, each));
  const inputs = parameters.filter((each) => each.in === "path" || each.in === "query" || each.in === "header")
    .map((each) => ({ ...each, input: input(contents, each) }));
  const [type, media] = Object.entries(resolve(contents, operation.requestBody ?? {}).content ?? {})[0] ?? [];
  const body = media ? h("textarea", { spellcheck: false, "aria-label": "Body" }) : null;
  if (body) {
    body.value = JSON.stringify(example(contents, media), null, 2) ?? "";
    body.rows = Math.min(24, body.value.split("\n").length + 1);
  }
  const token = h("input", { type: "password", autocomplete: "off", placeholder: "none", "aria-label": "Bearer token" });
  const answer = h("section", { class: "answer", hidden: true });
  const send = h("button", { class: "primary", type: "submit" }, "Send");
  const form = h("form", { onsubmit: (event) => {
    event.preventDefault();
    trial(event);
  } },
    inputs.length ? h("dl", { class: "inputs" }, inputs.flatMap((each) => [
      h("dt", {}, each.name, h("span", { class: "hint" }, each.required ? `${each.in}, required` : each.in)), h("dd", {}, each.input)])) : null,
    body ? [h("h3", {}, "Body", h("span", { class: "hint" }, type)), body] : null,
    operation.security?.length || contents.security?.length
      ? h("dl", { class: "inputs" }, h("dt", {}, "Bearer token"), h("dd", {}, token)) : null,
    h("div", { class: "buttons" }, send));

  async function trial() {
    let target = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const each of inputs) {
      const value = each.input.value;
      if (each.in === "path") target = target.replace(`{${each.name}}`, encodeURIComponent(value));
      else if (value !== "" && each.in === "query") query.append(each.name, value);
      else if (value !== "") headers[each.name] = value;
    }
    if (body) headers["Content-Type"] = type;
    if (token.value) headers.Authorization = `Bearer ${token.value}`;
    if (String(query)) target += `?${query}`;
    send.disabled = true;
    try {
      const options = { method: method.toUpperCase(), headers, ...(body ? { body: body.value } : {}) };
      showAnswer(await askService(service, target, options));
    } catch (error) {
      answer.replaceChildren(h("pre", { class: "trouble" }, error.message));
    }
    answer.hidden = false;
    send.disabled = false;
    answer.scrollIntoView({ block: "nearest" });
  }

  function showAnswer({ response, text, seconds }) {
    const id = response.headers.get("X-Request-ID");
    const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    answer.replaceChildren(
      h("p", { class: "title" },
        h("span", { class: `status ${kind(response.status || 300)}` }, String(response.status || "redirect")),
        h("span", {}, response.statusText), h("span", { class: "duration" }, duration(seconds)),
        id ? h("a", { href: `#request/${encodeURIComponent(id)}` }, "What it did") : null),
      h("pre", { class: "code" }, pretty(text)),
      h("details", {}, h("summary", {}, "Headers"), h("pre", { class: "code" }, headers)));
  }

  open(service, [
    h("p", { class: "title" }, h("span", { class: `method ${method}` }, method.toUpperCase()), h("span", { class: "path" }, path)),
    operation.summary || operation.description ? h("p", { class: "about" }, operation.description || operation.summary) : null,
    form, answer,
  ]);
}

function input(contents, parameter) {
  const schema = resolve(contents, parameter.schema ?? {});
  if (schema.enum || schema.type === "boolean") {
    const values = schema.enum ?? ["true", "false"];
    return h("select", { "aria-label": parameter.name }, parameter.required ? [] : h("option", { value: "" }, "–"),
      values.map((value) => h("option", { value }, String(value))));
  }
  const element = h("input", { "aria-label": parameter.name, spellcheck: false, autocomplete: "off", required: parameter.in === "path",
    placeholder: schema.default !== undefined ? String(schema.default) : schema.type ?? "" });
  if (parameter.in === "path") element.value = parameter.example ?? schema.examples?.[0] ?? (schema.type === "integer" ? "1" : "");
  return element;
}

/** Follow a reference within the document. */
function resolve(contents, value, depth = 0) {
  if (!value?.$ref || depth > 20) return value;
  const parts = value.$ref.replace(/^#\//, "").split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  return resolve(contents, parts.reduce((found, part) => found?.[part], contents) ?? {}, depth + 1);
}

/** Return a value that the route takes: the document's own example, or one made of its schema. */
function example(contents, media) {
  if (media.example !== undefined) return media.example;
  const [named] = Object.values(media.examples ?? {});
  return named?.value ?? made(contents, media.schema ?? {});
}

function made(contents, told, depth = 0) {
  const schema = resolve(contents, told);
  if (schema.example !== undefined) return schema.example;
  if (schema.examples?.length) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  const first = schema.allOf?.[0] ?? schema.anyOf?.[0] ?? schema.oneOf?.[0];
  if (first && depth < 8) return made(contents, first, depth + 1);
  switch (schema.type) {
    case "object": return depth < 8 ? Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, each]) => [name, made(contents, each, depth + 1)])) : {};
    case "array": return depth < 8 ? [made(contents, schema.items ?? {}, depth + 1)] : [];
    case "integer": case "number": return schema.minimum ?? 1;
    case "boolean": return true;
    case "string": return "text";
    default: return null;
  }
}

function pretty(text) {
  if (text.length > 500_000) return `${text.slice(0, 500_000)}…`;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text || "no body";
  }
}
