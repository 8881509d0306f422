// The page's state in its address, after the #: a link reopens it, and nothing of it is sent to the server with the page.
//
//   tab, t, axis; family, T, keep_shape_of, zero_terminal_snr and the family's parameters (or points, betas);
//   pins: a list of settings.

import { store, subscribe } from "./store.js";

const WAIT = 300; // ms: browsers refuse to have their address changed more than some hundred times a minute
const TABS = ["Forward", "Schedule", "Reverse", "Loss"];

const number = (text) => (text != null && text !== "" && Number.isFinite(Number(text)) ? Number(text) : null);
const list = (text) => {
  try {
    const read = JSON.parse(text);
    return Array.isArray(read) ? read : null;
  } catch {
    return null;
  }
};

/** What the address holds, or an empty object: {tab, t, axis, settings, pins}. */
export function readLink(families, defaults) {
  const given = new URLSearchParams(location.hash.slice(1));
  const link = {};
  const tab = given.get("tab");
  if (TABS.includes(tab)) link.tab = tab;
  if (number(given.get("t")) != null) link.t = number(given.get("t"));
  if (["t", "u", "log_snr"].includes(given.get("axis"))) link.axis = given.get("axis");
  if (given.has("pins")) link.pins = list(given.get("pins"));
  const family = given.get("family");
  if (!(family in families) && family !== "drawn" && family !== "given") return link;
  const settings = { ...defaults, family, params: {} };
  for (const [name, { default: value }] of Object.entries(families[family]?.parameters ?? {})) {
    settings.params[name] = number(given.get(name)) ?? value;
  }
  settings.T = number(given.get("T")) ?? defaults.T;
  settings.keep_shape_of = number(given.get("keep_shape_of"));
  settings.zero_terminal_snr = given.get("zero_terminal_snr") === "1";
  if (family === "drawn") settings.points = list(given.get("points"));
  if (family === "given") settings.betas = given.get("betas");
  return { ...link, settings };
}

/** The address of the page as it is now. */
export function linkTo(tab) {
  const { settings } = store.schedule;
  const state = { tab, t: store.t, family: settings.family, T: settings.T, ...settings.params };
  if (settings.keep_shape_of != null) state.keep_shape_of = settings.keep_shape_of;
  if (settings.zero_terminal_snr) state.zero_terminal_snr = 1;
  if (settings.points) state.points = JSON.stringify(settings.points);
  if (settings.betas) state.betas = settings.betas;
  if (store.axis !== "t") state.axis = store.axis;
  if (store.pins.length) state.pins = JSON.stringify(store.pins.map((pin) => pin.settings));
  return `${location.pathname}${location.search}#${new URLSearchParams(state)}`;
}

const tabs = () => [...document.querySelectorAll("#lab-tabs button[role=tab]")];
const openTab = () => tabs().find((b) => b.getAttribute("aria-selected") === "true")?.textContent.trim() ?? TABS[0];

/** Keep the address up to date from now on; begin with the tab that it names. */
export function keepLink(link) {
  if (link.tab && link.tab !== openTab()) tabs().find((b) => b.textContent.trim() === link.tab)?.click();
  let timer = 0;
  const write = () => {
    timer = 0;
    if (store.schedule) history.replaceState(history.state, "", linkTo(openTab()));
  };
  const soon = () => (timer ||= setTimeout(write, WAIT));
  subscribe(soon);
  document.querySelector("#lab-tabs").addEventListener("click", soon);
  soon();
}

/** Copy the address; says so in the button. */
export async function copyLink(button) {
  const url = new URL(linkTo(openTab()), location.href).href;
  history.replaceState(history.state, "", url);
  const text = button.textContent;
  try {
    await navigator.clipboard.writeText(url);
    button.textContent = "Copied";
  } catch {
    button.textContent = "It is in the address bar"; // pages without https may not write to the clipboard
  }
  setTimeout(() => (button.textContent = text), 1600);
}
