// The page's state in its address, after the #: a link reopens it, and nothing of it is sent to the server with the page.
// What it may hold is in address.js.

import {
  numberIn,
  pinsIn,
  pinsText,
  putIn,
  readAddress,
  scheduleValues,
  settingsIn,
  tabIn,
  writeAddress,
} from "./address.js";
import { store, subscribe } from "./store.js";

/** @import { Families, Values } from "./address.js" */
/** @import { Settings } from "./schedules.js" */
/** @import { Changes } from "./store.js" */

const WAIT = 300; // ms; browsers refuse to have their address changed more than some hundred times a minute
const SAID = 1600; // ms that a button says what it has done

// What a tab that was not opened yet has put into a link stays in it as it is.
const said = readAddress(location.hash.slice(1));
let keeping = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/**
 * What the link says of a name, as text; null if nothing.
 * @param {string} name
 */
export const fromLink = (name) => said.get(name) ?? null;

/**
 * The same as a number, or null.
 * @param {string} name
 */
export const numberFromLink = (name) => numberIn(said, name);

/** The settings of the schedules that the link has pinned. */
export const pinsFromLink = () => pinsIn(said);

/**
 * The settings of the link's schedule; null if it has none.
 * @param {Families} families
 * @param {Settings} defaults
 */
export const settingsFromLink = (families, defaults) => settingsIn(said, families, defaults);

/**
 * Put values of a view into the address: putInLink({seed: 3}). null takes a name out.
 * @param {Values} values
 */
export function putInLink(values) {
  putIn(said, values);
  soon();
}

/** When all has been quiet for a while: not in the middle of a drag. */
function soon() {
  clearTimeout(timer);
  if (keeping) timer = setTimeout(write, WAIT);
}

function write() {
  said.set("tab", openTab());
  history.replaceState(history.state, "", `${location.pathname}${location.search}#${writeAddress(said)}`);
}

const tabs = () => [
  .../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#lab-tabs button[role=tab]")),
];
const openTab = () => tabs().find((b) => b.getAttribute("aria-selected") === "true")?.dataset.tabId ?? "";

/**
 * Keep the address up to date from now on; begin with the tab that it names.
 * @param {Families} families
 */
export function keepLink(families) {
  /** @param {Changes} changes */
  function put(changes) {
    if (changes.has("t")) putInLink({ t: store.t });
    if (changes.has("axis")) putInLink({ axis: store.axis });
    if (changes.has("pins")) putInLink({ pins: pinsText(store.pins) });
    if (changes.has("schedule") && store.schedule) putInLink(scheduleValues(store.schedule.settings, families));
  }
  const named = tabIn(said);
  if (named !== openTab())
    tabs()
      .find((b) => b.dataset.tabId === named)
      ?.click();
  keeping = true;
  put(new Set(["t", "axis", "pins", "schedule"]));
  subscribe(put);
  document.querySelector("#lab-tabs")?.addEventListener("click", soon);
  // A link put into the address of the open page, where browsers only go to another place on it.
  window.addEventListener("hashchange", () => location.reload());
}

/**
 * Copy the address; says so in the button.
 * @param {HTMLButtonElement} button
 */
export async function copyLink(button) {
  write();
  const text = button.textContent;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = store.picture && !store.picture.value.picture ? "Copied, without your picture" : "Copied";
  } catch {
    button.textContent = "It is in the address bar"; // pages without https may not write to the clipboard
  }
  setTimeout(() => {
    button.textContent = text;
  }, SAID);
}
