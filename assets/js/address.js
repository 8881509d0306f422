// What a link says, as text after the #, and what it means: read and written here without asking the browser.
//
//   tab, t, axis; family, T, keep_shape_of, zero_terminal_snr and the family's parameters (or points, betas);
//   pins: a list of settings; and what views put in: see putInLink of link.js.

/** @import { Family, Settings } from "./schedules.js" */

/** @typedef {Map<string, string>} Said names and what the link says of them */
/** @typedef {Record<string, string | number | null | undefined>} Values null takes a name out */
/** @typedef {Record<string, Pick<Family, "parameters">>} Families */

/**
 * @param {string} text without the #
 * @returns {Said}
 */
export const readAddress = (text) => new Map(new URLSearchParams(text));

/** @param {Said} said */
export const writeAddress = (said) => new URLSearchParams([...said]).toString();

/**
 * @param {Said} said
 * @param {Values} values
 */
export function putIn(said, values) {
  for (const [name, value] of Object.entries(values)) {
    if (value == null) said.delete(name);
    else said.set(name, String(value));
  }
}

/**
 * What it says of a name, as a number; null if that is none.
 * @param {Said} said
 * @param {string} name
 */
export function numberIn(said, name) {
  const text = said.get(name);
  return text && Number.isFinite(Number(text)) ? Number(text) : null;
}

/**
 * What it says of a name as a list; null if that is none.
 * @param {Said} said
 * @param {string} name
 */
function listIn(said, name) {
  try {
    const read = JSON.parse(said.get(name) ?? "null");
    return Array.isArray(read) ? read : null;
  } catch {
    return null;
  }
}

/**
 * The settings of the schedules that it has pinned.
 * @param {Said} said
 * @returns {Partial<Settings>[]}
 */
export const pinsIn = (said) => listIn(said, "pins") ?? [];

/**
 * The id of the tab that it opens: links once held the title.
 * @param {Said} said
 */
export const tabIn = (said) => said.get("tab")?.toLowerCase();

/**
 * The settings of its schedule; null if it has none.
 * @param {Said} said
 * @param {Families} families
 * @param {Settings} defaults
 * @returns {Settings | null}
 */
export function settingsIn(said, families, defaults) {
  const family = said.get("family");
  if (family == null || (!(family in families) && family !== "drawn" && family !== "given")) return null;
  /** @type {Settings} */
  const settings = { ...defaults, family, params: {} };
  for (const [name, { default: value }] of Object.entries(families[family]?.parameters ?? {})) {
    settings.params[name] = numberIn(said, name) ?? value;
  }
  settings.T = numberIn(said, "T") ?? defaults.T;
  settings.keep_shape_of = numberIn(said, "keep_shape_of");
  settings.zero_terminal_snr = said.get("zero_terminal_snr") === "1";
  if (family === "drawn") settings.points = listIn(said, "points");
  if (family === "given") settings.betas = said.get("betas") ?? null;
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
    .../** @type {Values} */ (params),
    keep_shape_of,
    zero_terminal_snr: zero_terminal_snr ? 1 : null,
    points: points ? JSON.stringify(points) : null,
    betas,
  };
}

/**
 * What a link holds of the schedules that are pinned.
 * @param {{settings: Settings}[]} pins
 */
export const pinsText = (pins) => (pins.length ? JSON.stringify(pins.map(({ settings }) => settings)) : null);
