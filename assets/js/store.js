// What the whole page shares: the schedule, the step t and what goes with them. Views subscribe, and redraw once a frame.

/**
 * fn, at most once a frame: at once if it has not run in this frame, else at the start of the next, so that nothing waits
 * for a frame without need and no last value is lost.
 */
export function oncePerFrame(fn) {
  let resting = false,
    again = false;
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
  let busy = false,
    again = false;
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

/**
 * Says whether a node has room on the page, as it has not in a closed tab: shown(node, fn)(). fn is called when it gets
 * some. To ask a node itself would make the browser lay out the page in the middle of a frame.
 */
export function shown(node, fn) {
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    width = contentRect.width;
    if (width) fn();
  }).observe(node);
  return () => width > 0;
}

export const PINS = 6; // schedules that can be kept to compare with: no more can be told apart

const listeners = new Set();
let changed = new Set();

export const store = {
  schedule: null, // {T, settings, name, columns: {beta, alpha_bar, ...}: Float64Array by t, chart: {name: [..]}, ...}
  t: 0,
  pins: [], // schedules as above, kept to compare with
  axis: "t", // what curves are drawn over: "t", "u" (t/T) or "log_snr"
  picture: null, // {noising, value}: the picture of the forward tab, how to draw it at any level, and what was sent of it
  stage: null, // {views, pictured, player}: the forward tab's canvases, what holds the first, and the player of t
  network: null, // the name of the one that was chosen last
  loss: null, // {columns, ledger, variance, ...}: errors as they were weighed last, see loss.js
  sight: null, // what a network sees in one image at any step, see seen.js
  server: null, // the sidebar's functions in Python
  limits: null, // {points, log_snr} of a drawn schedule
};

/** Call fn(changes) once a frame in which something changed; changes has the names of what did. */
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

/** Put new values into the store: assign({axis: "u"}). */
export function assign(values) {
  Object.assign(store, values);
  announce(...Object.keys(values));
}

let editor = () => {};

/** The sidebar says here how the settings of the schedule are changed. */
export const onEdit = (fn) => (editor = fn);

/** Change the settings of the schedule: edit({T: 500}); all controls follow. */
export const edit = (change) => editor(change);

export function setT(t) {
  if (!store.schedule) return;
  const next = Math.min(store.schedule.T, Math.max(0, Math.round(t)));
  if (next === store.t) return;
  store.t = next;
  announce("t");
}

function decode(text) {
  const characters = atob(text),
    bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return new Float64Array(bytes.buffer);
}

/** What the server sends of a schedule, with its columns as arrays. */
export const unpack = (payload) => ({
  ...payload,
  columns: Object.fromEntries(Object.entries(payload.columns).map(([k, v]) => [k, decode(v)])),
});

/** A new schedule keeps the place of the cursor, t/T; the first one takes it from a link. */
export function setSchedule(payload, t = null) {
  const part = store.schedule ? store.t / store.schedule.T : 0.3;
  store.schedule = unpack(payload);
  store.t = Math.min(payload.T, Math.max(0, Math.round(t ?? part * payload.T)));
  announce("schedule", "t");
}

/** The step of a schedule whose SNR is nearest to this one in decibel; SNR falls with t. */
export function stepAtSnr({ T, columns: { snr_db } }, db) {
  let low = 0,
    high = T;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (snr_db[middle] > db) low = middle;
    else high = middle;
  }
  return Math.abs(snr_db[low] - db) < Math.abs(snr_db[high] - db) ? low : high;
}

/** Hand a text or a Blob to the browser as a download. */
export function download(content, name) {
  const blob = content instanceof Blob ? content : new Blob([content], { type: "text/plain" });
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
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
  Number.isFinite(value)
    ? value
        .toFixed(n)
        .replace(/^-(?=.*[1-9])/, "−")
        .replace("-", "")
    : digits(value);

/** Build an element: el("div", {class: "x", onclick: f}, child, ...). */
export function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "tspan", "g", "rect", "circle", "title"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c != null));
  return node;
}

/** Another text in a node; the same one costs nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A button; name is what tests find it by. */
export const button = (text, title, onclick, name) =>
  el("button", { type: "button", class: "lab-save", title, onclick, "data-do": name }, text);

const TILDE = "\u0303"; // which goes over the letter before it, in text; not in every browser

/** Text whose indices are set low and whose tildes are over their letters: "L_simple", "x_T", "β̃". */
export const worded = (text) =>
  text.split(/(_[A-Za-z0-9θ−]+|.\u0303)/u).map((part) => {
    if (part.endsWith(TILDE)) return el("span", { class: "lab-tilde" }, part.slice(0, -1), el("span", {}, "˜"));
    return part.startsWith("_") ? el("sub", {}, part.slice(1)) : part;
  });

/** Buttons of which one is chosen; options: [[value, text], ...]. */
export function choice(label, options, chosen, change) {
  const node = el(
    "div",
    { class: "lab-choice", role: "group", "aria-label": label },
    el("span", { class: "lab-choice-label" }, label),
    ...options.map(([value, text]) =>
      el(
        "button",
        { type: "button", "data-value": value, onclick: () => (choose(node, value), change(value)) },
        ...worded(text),
      ),
    ),
  );
  choose(node, chosen);
  return node;
}

/** Show another value of a choice as the one that is chosen. */
export function choose(node, chosen) {
  for (const b of node.querySelectorAll("button")) b.setAttribute("aria-pressed", String(b.dataset.value === chosen));
}

/** A symbol with its index set low: symbol("β_T"). */
export function symbol(text) {
  const [base, index] = text.split("_");
  return el("span", { class: "lab-symbol" }, base, index ? el("sub", {}, index) : null);
}
