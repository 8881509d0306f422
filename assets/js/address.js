// What a link says, as text after the #, and what it means: read and written here by the table of ui/link.py, without
// asking the browser. What is out of type or range is as if it were not there; a name that is not in the table fails.

/** @import { Family, Settings } from "./schedules.js" */

/** @typedef {"choice" | "network" | "whole" | "number" | "flag" | "text" | "words" | "wholes" | "list"} Kind */

/**
 * A name of a link, and what may stand behind it: see LinkField of ui/link.py.
 * @typedef {object} LinkField
 * @property {Kind} kind
 * @property {unknown} default what holds where a link says nothing of it
 * @property {string[]} choices
 * @property {number | null} low
 * @property {number | null} high
 * @property {number | null} most
 */

/** @typedef {Record<string, LinkField>} LinkTable by name */
/** @typedef {Map<string, string>} Said names and what the link says of them */
/** @typedef {Record<string, unknown>} Values by name; null takes it out */
/** @typedef {Record<string, Pick<Family, "parameters">>} Families */

// As people and browsers write them: nothing that only Python or only JavaScript reads.
const NUMBER = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/i;
const RUN = /^run-[A-Za-z0-9_-]{22}$/; // of the page, whose network is meant
const SPACES = /\s+/;

/**
 * @param {string} text
 * @param {LinkField} field
 */
function numberOf(text, { low, high }) {
  const value = NUMBER.test(text.trim()) ? Number(text) : Number.NaN;
  return Number.isFinite(value) && value >= (low ?? value) && value <= (high ?? value) ? value : null;
}

/**
 * @param {string} text
 * @param {LinkField} field
 */
function wholeOf(text, field) {
  const value = numberOf(text, field);
  return Number.isSafeInteger(value) ? value : null;
}

const wordsOf = (/** @type {string} */ text) => text.split(SPACES).filter((word) => word);

/**
 * @param {string} text
 * @param {LinkField} field
 */
function wholesOf(text, field) {
  const values = wordsOf(text).map((word) => wholeOf(word, field));
  return values.length === field.most && !values.includes(null) ? values : null;
}

/**
 * @param {string} text
 * @param {LinkField} field
 */
function listOf(text, { most }) {
  try {
    const read = JSON.parse(text);
    return Array.isArray(read) && read.length <= (most ?? read.length) ? read : null;
  } catch {
    return null;
  }
}

/** What a text says by the kind of a field; null for what cannot be. */
/** @type {Record<Kind, (text: string, field: LinkField) => unknown>} */
const READERS = {
  choice: (text, { choices }) => (choices.includes(text) ? text : null),
  network: (text, { choices }) => (choices.includes(text) || RUN.test(text) ? text : null),
  whole: wholeOf,
  number: numberOf,
  flag: (text) => text === "1" || null,
  text: (text, { most }) => (text && text.length <= (most ?? text.length) ? text : null),
  words: (text, { choices }) => wordsOf(text).filter((word) => choices.includes(word)),
  wholes: wholesOf,
  list: listOf,
};

/**
 * A value as a link's text, which READERS read; null if there is none.
 * @param {LinkField} field
 * @param {unknown} value
 */
function textOf({ kind }, value) {
  if (value == null || value === false) return null;
  if (kind === "list") return JSON.stringify(value);
  if (Array.isArray(value)) return value.join(" ");
  return value === true ? "1" : String(value);
}

/**
 * @param {LinkTable} table
 * @param {string} name
 */
function fieldOf(table, name) {
  if (!Object.hasOwn(table, name)) throw new Error(`A link cannot hold ${name}: see link_table of ui/link.py.`);
  return table[name];
}

/**
 * @param {string} text without the #
 * @returns {Said}
 */
export function readAddress(text) {
  const said = new Map(new URLSearchParams(text));
  const tab = said.get("tab");
  if (tab != null) said.set("tab", tab.toLowerCase()); // links once held the title
  return said;
}

/** @param {Said} said */
export const writeAddress = (said) => new URLSearchParams([...said]).toString();

/**
 * What it says of a name, or what holds without.
 * @param {Said} said
 * @param {string} name
 * @param {LinkTable} table
 */
export function readIn(said, name, table) {
  const field = fieldOf(table, name);
  const text = said.get(name);
  return (text == null ? null : READERS[field.kind](text, field)) ?? field.default;
}

/**
 * Put values into it, but those that hold without, or that it could not be read with, as a person may have typed them.
 * @param {Said} said
 * @param {Values} values
 * @param {LinkTable} table
 */
export function putIn(said, values, table) {
  for (const [name, value] of Object.entries(values)) {
    const field = fieldOf(table, name);
    const text = textOf(field, value);
    const read = text == null ? null : READERS[field.kind](text, field);
    if (read == null && text != null && field.kind === "choice") throw new Error(`${name} cannot be ${text}.`);
    if (text == null || read == null || textOf(field, field.default) === text) said.delete(name);
    else said.set(name, text);
  }
}

/**
 * The settings of its schedule; null if it has none.
 * @param {Said} said
 * @param {Families} families
 * @param {Settings} defaults
 * @param {LinkTable} table
 * @returns {Settings | null}
 */
export function settingsIn(said, families, defaults, table) {
  const read = (/** @type {string} */ name) => readIn(said, name, table);
  const family = /** @type {string | null} */ (read("family"));
  if (family == null) return null;
  /** @type {Settings} */
  const settings = { ...defaults, family, params: {} };
  for (const [name, { default: value }] of Object.entries(families[family]?.parameters ?? {})) {
    settings.params[name] = read(name) ?? value;
  }
  settings.T = /** @type {number | null} */ (read("T")) ?? defaults.T;
  settings.keep_shape_of = /** @type {number | null} */ (read("keep_shape_of"));
  settings.zero_terminal_snr = read("zero_terminal_snr") === true;
  if (family === "drawn") settings.points = /** @type {Settings["points"]} */ (read("points"));
  if (family === "given") settings.betas = /** @type {string | null} */ (read("betas"));
  return settings;
}

/**
 * What a link holds of a schedule; the parameters of other families are taken out.
 * @param {Settings} settings
 * @param {Families} families
 * @returns {Values}
 */
export function scheduleValues(settings, families) {
  const { family, T, params, keep_shape_of, zero_terminal_snr, points, betas } = settings;
  const names = Object.values(families).flatMap(({ parameters }) => Object.keys(parameters));
  return {
    ...Object.fromEntries(names.map((name) => [name, null])),
    family,
    T,
    ...params,
    keep_shape_of,
    zero_terminal_snr,
    points,
    betas,
  };
}
