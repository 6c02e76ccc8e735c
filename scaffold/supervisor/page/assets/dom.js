// Elements and words. Nothing here, or anywhere on the page, makes HTML from text.

/** Make an element: `on…` properties are listeners, `class` and the rest are attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const find = (id) => document.getElementById(id);

/** Change a text only where it is another one: what stays is not drawn again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Call a function once in the next frame, however often it is asked for. */
export function once(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const milliseconds = seconds * 1000;
  if (milliseconds < 1) return `${milliseconds.toFixed(2)} ms`;
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${milliseconds.toFixed(0)} ms`;
  return `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
}

export function bytes(count) {
  if (count === null || count === undefined) return "–";
  for (const unit of ["B", "kB", "MB"]) {
    if (count < 1000) return `${unit === "B" || count >= 100 ? Math.round(count) : count.toFixed(1)} ${unit}`;
    count /= 1000;
  }
  return `${count.toFixed(1)} GB`;
}

export function count(number) {
  return Math.round(number).toLocaleString("en").replaceAll(",", " ");
}

export function rate(number) {
  return number >= 100 ? count(number) : number.toFixed(number < 10 ? 1 : 0);
}

export function age(since) {
  const seconds = Math.max(0, Date.now() / 1000 - since);
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function clock(time, digits = 0) {
  const date = new Date(time * 1000);
  const text = CLOCK.format(date);
  return digits ? `${text}.${String(date.getMilliseconds()).padStart(3, "0").slice(0, digits)}` : text;
}

export const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

/** A service's name where there is little room: `user` for user-service. */
export const short = (name) => name.replace(/-service$/, "");

/** The kind of an answer's status, for its colour. */
export function kind(status) {
  if (status === null || status === undefined) return "left";
  return status >= 500 ? "bad" : status >= 400 ? "warn" : "good";
}
