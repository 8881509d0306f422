// The page's state in its address, after the #: a link reopens it, and nothing of it is sent to the server with the page.
//
//   tab, t, axis; family, T, keep_shape_of, zero_terminal_snr and the family's parameters (or points, betas);
//   pins: a list of settings; and what other views put in: see putInLink.

import { store, subscribe } from "./store.js";

const WAIT = 300; // ms; browsers refuse to have their address changed more than some hundred times a minute

// What a tab that was not opened yet has put into a link stays in it as it is.
const state = new Map(new URLSearchParams(location.hash.slice(1)));
let keeping = false,
  timer = 0;

/** What the link says of a name, as text; null if nothing. */
export const fromLink = (name) => state.get(name) ?? null;

/** The same as a number, or null. */
export const numberFromLink = (name) => {
  const text = state.get(name);
  return text && Number.isFinite(Number(text)) ? Number(text) : null;
};

/** Put values of a view into the address: putInLink({seed: 3}). null takes a name out. */
export function putInLink(values) {
  for (const [name, value] of Object.entries(values)) {
    if (value == null) state.delete(name);
    else state.set(name, String(value));
  }
  soon();
}

/** When all has been quiet for a while: not in the middle of a drag. */
function soon() {
  clearTimeout(timer);
  if (keeping) timer = setTimeout(write, WAIT);
}

function write() {
  state.set("tab", openTab());
  history.replaceState(history.state, "", `${location.pathname}${location.search}#${new URLSearchParams([...state])}`);
}

const list = (text) => {
  try {
    const read = JSON.parse(text);
    return Array.isArray(read) ? read : null;
  } catch {
    return null;
  }
};

/** The settings of the schedules that the link has pinned. */
export const pinsFromLink = () => list(fromLink("pins")) ?? [];

/** The settings of the link's schedule; null if it has none. */
export function settingsFromLink(families, defaults) {
  const family = fromLink("family");
  if (!(family in families) && family !== "drawn" && family !== "given") return null;
  const settings = { ...defaults, family, params: {} };
  for (const [name, { default: value }] of Object.entries(families[family]?.parameters ?? {})) {
    settings.params[name] = numberFromLink(name) ?? value;
  }
  settings.T = numberFromLink("T") ?? defaults.T;
  settings.keep_shape_of = numberFromLink("keep_shape_of");
  settings.zero_terminal_snr = fromLink("zero_terminal_snr") === "1";
  if (family === "drawn") settings.points = list(fromLink("points"));
  if (family === "given") settings.betas = fromLink("betas");
  return settings;
}

const tabs = () => [...document.querySelectorAll("#lab-tabs button[role=tab]")];
const openTab = () => tabs().find((b) => b.getAttribute("aria-selected") === "true")?.dataset.tabId ?? "";

/** Keep the address up to date from now on; begin with the tab that it names. */
export function keepLink(families) {
  const parameters = Object.values(families).flatMap((family) => Object.keys(family.parameters));
  const none = Object.fromEntries(parameters.map((name) => [name, null]));
  function put(changes) {
    if (changes.has("t")) putInLink({ t: store.t });
    if (changes.has("axis")) putInLink({ axis: store.axis });
    if (changes.has("pins"))
      putInLink({ pins: store.pins.length ? JSON.stringify(store.pins.map((pin) => pin.settings)) : null });
    if (!changes.has("schedule")) return;
    const { family, T, params, keep_shape_of, zero_terminal_snr, points, betas } = store.schedule.settings;
    putInLink({
      ...none,
      family,
      T,
      ...params,
      keep_shape_of,
      zero_terminal_snr: zero_terminal_snr ? 1 : null,
      points: points ? JSON.stringify(points) : null,
      betas,
    });
  }
  const named = fromLink("tab")?.toLowerCase(); // links once held the title
  if (named !== openTab())
    tabs()
      .find((b) => b.dataset.tabId === named)
      ?.click();
  keeping = true;
  put(new Set(["t", "axis", "pins", "schedule"]));
  subscribe(put);
  document.querySelector("#lab-tabs").addEventListener("click", soon);
  // A link put into the address of the open page, where browsers only go to another place on it.
  window.addEventListener("hashchange", () => location.reload());
}

/** Copy the address; says so in the button. */
export async function copyLink(button) {
  write();
  const text = button.textContent;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = store.picture && !store.picture.value.picture ? "Copied, without your picture" : "Copied";
  } catch {
    button.textContent = "It is in the address bar"; // pages without https may not write to the clipboard
  }
  setTimeout(() => (button.textContent = text), 1600);
}
