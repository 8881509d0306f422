// A schedule as the browser has it: what Python sends, with its columns as arrays.

/**
 * What a schedule is made from, as the controls, links and Python have it.
 * @typedef {object} Settings
 * @property {string} family
 * @property {number} T
 * @property {Record<string, unknown>} params what was typed; Python says what is no number
 * @property {number | null} [keep_shape_of]
 * @property {boolean} [zero_terminal_snr]
 * @property {[number, number][] | null} [points] of a drawn schedule, (t/T, log SNR)
 * @property {string | null} [betas] of a given one, float64 in base64
 */

/**
 * A family's parameter, or T: its symbol and what it may be.
 * @typedef {object} Parameter
 * @property {string} symbol
 * @property {string} about
 * @property {number} minimum
 * @property {number} maximum
 * @property {boolean} [whole]
 * @property {number} [default]
 */

/**
 * @typedef {object} Family
 * @property {string} title
 * @property {string} formula
 * @property {string} source
 * @property {boolean} [per_step] whether its betas are given by the step, so that its shape depends on T
 * @property {Record<string, Parameter>} parameters
 */

/** @typedef {"beta" | "alpha_bar" | "signal" | "noise" | "snr_db"} ForwardColumn */
/** @typedef {"posterior_variance" | "posterior_xt" | "posterior_x0"} PosteriorColumn */
/** @typedef {Record<ForwardColumn | PosteriorColumn, Float64Array>} Columns by t = 0 ... T */
/** @typedef {Record<string, (number | null)[]>} Curves what a figure draws: some points of every column */

/**
 * @typedef {object} Summary
 * @property {number} last_alpha_bar
 * @property {number} terminal_snr_db
 * @property {number | null} t_equal where signal and noise are equally strong
 * @property {[number, number]} prior_kl L_T in bits/dim: first times the mean square of x_0, plus second
 * @property {number} share_above_0_db
 */

/**
 * @typedef {object} Described
 * @property {number} T
 * @property {Settings} settings
 * @property {string} name
 * @property {Curves} chart
 * @property {Summary} summary
 * @property {{curve: string, text: string}[]} remarks
 */

/** @typedef {Described & {columns: Record<string, string>}} SchedulePayload columns in base64 */
/** @typedef {Described & {columns: Columns}} Schedule */
/** @typedef {Schedule & {colour: number}} Pin kept to compare with */

/** @param {string} text Float64 in base64 */
function decode(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return new Float64Array(bytes.buffer);
}

/**
 * What the server sends of a schedule, with its columns as arrays.
 * @param {SchedulePayload} payload
 * @returns {Schedule}
 */
export const unpack = (payload) => ({
  ...payload,
  columns: /** @type {Columns} */ (
    Object.fromEntries(Object.entries(payload.columns).map(([name, text]) => [name, decode(text)]))
  ),
});

/**
 * The step of a schedule whose SNR is nearest to this one in decibel; SNR falls with t.
 * @param {{T: number, columns: Pick<Columns, "snr_db">}} schedule
 * @param {number} db
 */
export function stepAtSnr({ T, columns: { snr_db } }, db) {
  let low = 0;
  let high = T;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (snr_db[middle] > db) low = middle;
    else high = middle;
  }
  return Math.abs(snr_db[low] - db) < Math.abs(snr_db[high] - db) ? low : high;
}

/** @param {number} db */
export const logSnrOf = (db) => db * (Math.LN10 / 10);

/** @param {number} logSnr */
export const decibelOf = (logSnr) => logSnr * (10 / Math.LN10);
