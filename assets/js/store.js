// What the whole page shares: the schedule and the step t. Views subscribe and redraw once a frame.

/**
 * fn, at most once a frame: at once if it has not run in this frame, else at the start of the next, so that nothing waits
 * for a frame without need and no last value is lost.
 */
export function oncePerFrame(fn) {
  let resting = false, again = false;
  const run = () => {
    resting = true;
    again = false;
    requestAnimationFrame(() => {
      resting = false;
      if (again) run();
    });
    fn();
  };
  return () => (resting ? (again = true) : run());
}

/**
 * task, one run at a time: asked again while it runs, it runs once more when it is done. What it reads then is the newest, so that every answer is shown and none that is shown last is stale.
 */
export function oneAtATime(task) {
  let busy = false, again = false;
  return async () => {
    again = true;
    if (busy) return;
    busy = true;
    try {
      while (again) {
        again = false;
        await task();
      }
    } finally {
      busy = false;
    }
  };
}

const listeners = new Set();
let changed = new Set();

export const store = {
  schedule: null, // {T, settings, columns: {beta, alpha_bar, ...}: Float64Array by t, chart: {name: [..]}}
  t: 0,
};

/** Call fn(changes) once a frame in which something changed; changes has "t" and/or "schedule". */
export const subscribe = (fn) => listeners.add(fn);

const tell = oncePerFrame(() => {
  const changes = changed;
  changed = new Set();
  for (const fn of listeners) fn(changes);
});

function announce(...what) {
  for (const name of what) changed.add(name);
  tell();
}

export function setT(t) {
  if (!store.schedule) return;
  const next = Math.min(store.schedule.T, Math.max(0, Math.round(t)));
  if (next === store.t) return;
  store.t = next;
  announce("t");
}

const decode = (text) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Float64Array(bytes.buffer);
};

/** A new schedule keeps the place of the cursor, t/T. */
export function setSchedule(payload) {
  const columns = Object.fromEntries(Object.entries(payload.columns).map(([k, v]) => [k, decode(v)]));
  const part = store.schedule ? store.t / store.schedule.T : 0.3;
  store.schedule = { ...payload, columns };
  store.t = Math.round(part * payload.T);
  announce("schedule", "t");
}

/** A number for people: three digits, plain where that is short. */
export function digits(value, n = 3) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(n - 1) : String(Number(value.toPrecision(n)));
  return text.replace("-", "−");
}

export const fixed = (value, n = 2) =>
  Number.isFinite(value) ? value.toFixed(n).replace(/^-(?=.*[1-9])/, "−").replace("-", "") : digits(value);

/** Build an element: el("div", {class: "x", onclick: f}, child, ...). */
export function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "g", "rect", "circle", "title"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c != null));
  return node;
}

/** A symbol with its index set low: symbol("β_T"). */
export function symbol(text) {
  const [base, index] = text.split("_");
  return el("span", { class: "lab-symbol" }, base, index ? el("sub", {}, index) : null);
}
