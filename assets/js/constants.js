// What Python says once of the page, as it is loaded: numbers and colours that both need, and what a link may hold. They
// are made in ui/wire.py.

/** @import { LinkTable } from "./address.js" */

/**
 * What may be asked of the server.
 * @typedef {object} Limits
 * @property {[least: number, most: number]} T
 * @property {number} points of a drawn schedule
 * @property {number} log_snr of such a point, either way
 * @property {number} pins schedules that are kept to compare with
 * @property {number} csv bytes of a file of betas
 * @property {number} upload bytes of all files at once
 * @property {number} plane points of the plane
 * @property {number} mixed of these, as many as their density and field are made from
 */

/**
 * @typedef {object} Constants
 * @property {LinkTable} link
 * @property {Limits} limits
 * @property {{eps: number, gap: number}} units eps is sent as whole numbers of so many to one; samples of a grid lie so
 *   many pixels apart
 * @property {Record<string, string>} colours of figures, and what the style sheet calls them
 */

/** @type {Constants | undefined} */
let known;

/** @returns {Constants} */
export function constants() {
  if (!known) {
    const node = document.querySelector("meta[name=lab-constants]");
    known = JSON.parse(/** @type {HTMLMetaElement} */ (node).content);
  }
  return /** @type {Constants} */ (known);
}
