// The page's schedule and those pinned beside it: the picture under each, and their numbers.

import { el, setAttributes, setData, setText } from "./dom.js";
import { digits, fixed } from "./numbers.js";
import { stepAtSnr } from "./schedules.js";
import { assign, edit, store } from "./store.js";

/** @import { Schedule } from "./schedules.js" */

const THUMB = 128; // pixels of a picture's longer side, about
const PIXEL_ART = 64; // pixels up to which a picture is shown with hard edges

/** @typedef {"t" | "snr"} Matched what pictures have in common: t/T, or the SNR */
/** @typedef {{schedule: Schedule, t: number, colour: number | null}} ComparedRow */

/**
 * The schedule of the page first, then the pinned ones, and the step of each that is shown.
 * @param {Matched} matched
 * @returns {ComparedRow[]}
 */
export function comparedRows(matched) {
  const { schedule, t, pins } = store;
  if (!schedule) return [];
  const at = (/** @type {Schedule} */ other) =>
    matched === "snr" ? stepAtSnr(other, schedule.columns.snr_db[t]) : Math.round((t / schedule.T) * other.T);
  return [{ schedule, t, colour: null }, ...pins.map((pin) => ({ schedule: pin, t: at(pin), colour: pin.colour }))];
}

/** @param {number | null} colour */
function swatch(colour) {
  const name = colour == null ? "--lab-schedule" : `--pin-${colour + 1}`;
  const style = `border-top-color: var(${name}); border-top-style: ${colour == null ? "solid" : "dashed"}`;
  return el("i", { class: "lab-swatch", style });
}

/** Pictures of the same x_0 and noise, one under each schedule. */
export class ComparedPictures {
  constructor() {
    const label = "the picture under each schedule";
    this.strip = el("div", { class: "lab-compare", role: "group", "aria-label": label });
    /** @type {{canvas: HTMLCanvasElement, caption: HTMLElement, figure: HTMLElement}[]} */
    this.figures = [];
  }

  add() {
    const canvas = el("canvas", { width: 64, height: 64, role: "img" });
    const caption = el("figcaption", {});
    const figure = el("figure", { class: "lab-figure" }, canvas, caption);
    this.figures.push({ canvas, caption, figure });
    this.strip.append(figure);
  }

  /** @param {ComparedRow[]} rows */
  draw(rows) {
    if (!store.picture) return;
    const { noising } = store.picture;
    const longer = Math.max(noising.width, noising.height);
    const stride = Math.max(1, Math.round(longer / THUMB));
    while (this.figures.length > rows.length) this.figures.pop()?.figure.remove();
    while (this.figures.length < rows.length) this.add();
    this.strip.classList.toggle("is-pixel-art", longer <= PIXEL_ART);
    rows.forEach(({ schedule, t, colour }, k) => {
      const { canvas, caption, figure } = this.figures[k];
      const { signal, noise, snr_db } = schedule.columns;
      noising.paint(canvas, signal[t], noise[t], stride);
      setAttributes(canvas, { "aria-label": `the picture under ${schedule.name} at t ${t}` });
      caption.replaceChildren(swatch(colour), ` t = ${t}, ${fixed(snr_db[t], 1)} dB`);
      figure.title = schedule.name;
      setData(figure, { t });
    });
  }
}

const HEAD = ["", "schedule", "T", "ᾱ_T", "SNR at T", "t of 0 dB", "L_T", "above 0 dB", ""];
/** @type {Record<string, string>} */
const ABOUT = {
  L_T: "what is lost by starting from N(0, I), for the picture of the Forward tab",
  "t of 0 dB": "where signal and noise are equally strong",
  "above 0 dB": "share of steps with more signal than noise",
};

/** @param {string} text */
function headOf(text) {
  const [base, index] = text.split("_");
  return index ? el("span", {}, base, el("sub", {}, index)) : text;
}

/**
 * What a row says of its schedule.
 * @param {Schedule} schedule
 * @param {number} meanSquare of x_0
 */
function textsOf({ name, T, summary: s }, meanSquare) {
  const bits = s.prior_kl[0] * meanSquare + s.prior_kl[1];
  return [
    name,
    `${T}`,
    digits(s.last_alpha_bar),
    `${fixed(s.terminal_snr_db, 1)} dB`,
    s.t_equal == null ? "never" : fixed(s.t_equal, 1),
    `${digits(bits)} bits/dim`,
    `${(100 * s.share_above_0_db).toFixed(1)} %`,
  ];
}

/**
 * The buttons of a pinned schedule: use it, unpin it.
 * @param {Schedule} schedule
 * @param {number} pin
 */
function acts({ name, settings }, pin) {
  const use = () => edit(settings);
  const unpin = () => assign({ pins: store.pins.filter((_, i) => i !== pin) });
  return el(
    "span",
    { class: "lab-acts" },
    el("button", { type: "button", class: "lab-small", title: `use ${name}`, onclick: use }, "use"),
    el(
      "button",
      { type: "button", class: "lab-small", "aria-label": `unpin ${name}`, title: "unpin", onclick: unpin },
      "✕",
    ),
  );
}

/** A row for each schedule. */
export class ComparedTable {
  constructor() {
    const heads = HEAD.map((text) => el("th", { title: ABOUT[text] ?? "" }, headOf(text)));
    this.body = el("tbody", {});
    this.table = el("table", { class: "lab-table" }, el("thead", {}, el("tr", {}, ...heads)), this.body);
  }

  get empty() {
    return !this.body.rows.length;
  }

  /**
   * Other rows.
   * @param {ComparedRow[]} rows
   */
  build(rows) {
    const nodes = rows.map(({ schedule, colour }, k) => {
      const cells = [swatch(colour), ...HEAD.slice(2).map(() => ""), colour == null ? "" : acts(schedule, k - 1)];
      return el("tr", {}, ...cells.map((cell) => el("td", {}, cell)));
    });
    this.body.replaceChildren(...nodes);
    this.fill(rows);
  }

  /**
   * Other numbers in the rows.
   * @param {ComparedRow[]} rows
   */
  fill(rows) {
    const meanSquare = store.picture?.noising.meanSquare ?? 1;
    rows.forEach(({ schedule }, k) => {
      for (const [i, text] of textsOf(schedule, meanSquare).entries()) setText(this.body.rows[k].cells[i + 1], text);
    });
  }
}
