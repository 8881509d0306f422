// The page's state in its address, after the #: a link reopens it, and nothing of it is sent to the server with the page.
// What it may hold is said in ui/link.py.

import { putIn, readAddress, readIn, scheduleValues, settingsIn, writeAddress } from "./address.js";
import { constants } from "./constants.js";
import { store, subscribe } from "./store.js";

/** @import { Families, Values } from "./address.js" */
/** @import { Matched } from "./compared.js" */
/** @import { Settings } from "./schedules.js" */
/** @import { Axis, Changes } from "./store.js" */
/** @import { Chosen } from "./weighed.js" */

/**
 * What views keep in a link, beside the schedule. What they are without one is said in ui/link.py.
 * @typedef {object} LinkValues
 * @property {number | null} t
 * @property {Axis} axis
 * @property {Partial<Settings>[]} pins
 * @property {Matched} match
 * @property {string | null} picture
 * @property {number} noise
 * @property {string[]} open
 * @property {number} walk
 * @property {number[] | null} pixel
 * @property {Chosen["part"]} part
 * @property {Chosen["show"]} show
 * @property {Chosen["variance"]} sigma
 * @property {string[]} losses
 * @property {string} class
 * @property {string} data
 * @property {number} data_count
 * @property {string | null} sketch
 * @property {string[]} layers
 * @property {string[]} play
 * @property {number} back
 * @property {Chosen["variance"]} plane_sigma
 * @property {number[]} followed
 * @property {number} data_seed
 * @property {string | null} run
 */

const WAIT = 300; // ms; browsers refuse to have their address changed more than some hundred times a minute
const SAID = 1600; // ms that a button says what it has done

// What a tab that was not opened yet has put into a link stays in it as it is.
const said = readAddress(location.hash.slice(1));
let keeping = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/**
 * What the link says of a name, or what holds where it says nothing, or what cannot be.
 * @template {keyof LinkValues} N
 * @param {N} name
 */
export const fromLink = (name) => /** @type {LinkValues[N]} */ (readIn(said, name, constants().link));

/**
 * The settings of the link's schedule; null if it has none.
 * @param {Families} families
 * @param {Settings} defaults
 */
export const settingsFromLink = (families, defaults) => settingsIn(said, families, defaults, constants().link);

/**
 * Put values of a view into the address: putInLink({walk: 3}). Null takes a name out.
 * @param {Partial<LinkValues>} values
 */
export const putInLink = (values) => put(values);

/** @param {Values} values */
function put(values) {
  putIn(said, values, constants().link);
  soon();
}

/** When all has been quiet for a while: not in the middle of a drag. */
function soon() {
  clearTimeout(timer);
  if (keeping) timer = setTimeout(write, WAIT);
}

function write() {
  putIn(said, { tab: openTab() || null }, constants().link);
  history.replaceState(history.state, "", `${location.pathname}${location.search}#${writeAddress(said)}`);
}

const tabs = () => [
  .../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#lab-tabs button[role=tab]")),
];
const openTab = () => tabs().find((b) => b.getAttribute("aria-selected") === "true")?.dataset.tabId ?? "";

/**
 * Press a tab's button. Where the page is narrow, Gradio moves those that find no room into a menu, without their ids.
 * @param {string} id
 */
function showTab(id) {
  const title = document.querySelectorAll("#lab-tabs .tab-container[aria-hidden] button")[
    constants().link.tab.choices.indexOf(id)
  ]?.textContent;
  const inMenu = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".overflow-dropdown button"));
  const found = tabs().find((b) => b.dataset.tabId === id) ?? [...inMenu].find((b) => b.textContent === title);
  found?.click();
}

/**
 * Keep the address up to date from now on; begin with the tab that it names.
 * @param {Families} families
 */
export function keepLink(families) {
  /** @param {Changes} changes */
  function follow(changes) {
    if (changes.has("t")) putInLink({ t: store.t });
    if (changes.has("axis")) putInLink({ axis: store.axis });
    if (changes.has("pins")) putInLink({ pins: store.pins.map(({ settings }) => settings) });
    if (changes.has("schedule") && store.schedule) put(scheduleValues(store.schedule.settings, families));
  }
  const named = readIn(said, "tab", constants().link);
  if (typeof named === "string" && named !== openTab()) showTab(named);
  keeping = true;
  follow(new Set(["t", "axis", "pins", "schedule"]));
  subscribe(follow);
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
