// Small lines: a metric of the last five minutes in sixty steps.

const STEPS = 60;
const STEP = 5; // seconds
const SVG = "http://www.w3.org/2000/svg";

/** What each of a service's metrics was in a step: [requests/s, errors, p50, p99]; null without one. */
export function steps(seconds, now) {
  const first = (Math.floor(now / STEP) - STEPS + 1) * STEP;
  const found = Array.from({ length: STEPS }, () => ({ told: 0, requests: 0, errors: 0, p50: null, p99: null }));
  for (const [time, requests, errors, p50, p99] of seconds) {
    const step = found[Math.floor((time - first) / STEP)];
    if (!step) continue;
    if (p50 !== null) {
      const before = step.p50 ?? p50;
      step.p50 = (before * step.requests + p50 * requests) / (step.requests + requests || 1);
    }
    if (p99 !== null) step.p99 = Math.max(step.p99 ?? 0, p99);
    step.told += 1;
    step.requests += requests;
    step.errors += errors;
  }
  return {
    rate: found.map((step) => (step.told ? step.requests / STEP : null)),
    errors: found.map((step) => (step.told ? step.errors : null)),
    p50: found.map((step) => step.p50),
    p99: found.map((step) => step.p99),
  };
}

/** The metrics as numbers: the rate of ten seconds, durations of a minute, errors of all that is known. */
export function numbers(seconds, now) {
  const found = { rate: 0, errors: 0, p50: null, p99: null };
  let requests = 0;
  for (const [time, ended, errors, p50, p99] of seconds) {
    found.errors += errors;
    if (time > now - 11 && time <= now) found.rate += ended / 10;
    if (time <= now - 60) continue;
    if (p50 !== null) {
      found.p50 = ((found.p50 ?? 0) * requests + p50 * ended) / (requests + ended || 1);
      requests += ended;
    }
    if (p99 !== null) found.p99 = Math.max(found.p99 ?? 0, p99);
  }
  return found;
}

export function sparkline(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `spark ${name}`);
  svg.setAttribute("viewBox", `0 0 ${STEPS} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const area = document.createElementNS(SVG, "path");
  area.setAttribute("class", "area");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("class", "line");
  svg.append(area, line);
  return svg;
}

/** Draw values; null is a gap. */
export function draw(svg, values) {
  const most = Math.max(...values.map((value) => value ?? 0));
  const highest = most || 1;
  svg.toggleAttribute("data-flat", !most);
  const y = (value) => (18.5 - (value / highest) * 17).toFixed(1);
  let line = "";
  let area = "";
  let begun = -1;
  values.forEach((value, step) => {
    if (value === null) {
      begun = -1;
      return;
    }
    if (begun < 0) {
      begun = step;
      line += `M${step} ${y(value)}`;
    } else line += `L${step} ${y(value)}`;
    const ends = step + 1 === values.length || values[step + 1] === null;
    if (!ends) return;
    if (begun === step) line += "h0.9"; // a single one
    let shape = `M${begun} 20`;
    for (let each = begun; each <= step; each += 1) shape += `L${each} ${y(values[each])}`;
    area += `${shape}L${step} 20Z`;
  });
  const [filled, drawn] = svg.children;
  if (drawn.getAttribute("d") !== line) {
    drawn.setAttribute("d", line);
    filled.setAttribute("d", area);
  }
}
