// A thing in a hand that never drew it: pairs to choose, what the network draws of one, and the real pictures beside it.

import { constants } from "./constants.js";
import { el, setData } from "./dom.js";
import { decode } from "./frames.js";
import { Pick } from "./pick.js";
import { spaced } from "./wishes.js";

/** @import { Shape } from "./frames.js" */

const BY = " by "; // between the thing and the hand
const BLANKS = 4; // places for what is drawn

/** @typedef {{picture: string, name: string}} Picture */
/** @typedef {{network: string, pair: number, state: string, shape: Shape, data: string, status: string}} Drawn */
/**
 * What there is to choose from.
 * @typedef {object} Offered
 * @property {string} network
 * @property {number} pair
 * @property {[thing: string, hand: string][]} pairs
 * @property {(Picture & {pair: number})[]} offered
 * @property {{rows: string[][], about: string}} figures
 */
/** @typedef {Offered | Drawn | {network: string, pair: number}} ComposingValue */
/**
 * @typedef {object} ComposingServer
 * @property {(asked: {network: string, pair: number}) =>
 *   Promise<{real: Picture, seen: Picture[], drawn: Drawn | null}>} pictures_of_pair
 */

/**
 * @param {Picture} picture
 * @param {string} kind
 */
const figure = ({ picture, name }, kind) =>
  el(
    "figure",
    { class: `lab-figure lab-figure-${kind}` },
    el("img", { src: picture, alt: name, class: "lab-pixels" }),
    el("figcaption", {}, spaced(name)),
  );

class Composing {
  /**
   * @param {HTMLElement} element
   * @param {{value: ComposingValue | null}} props
   * @param {ComposingServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.server = server;
    /** @type {Offered | null} */
    this.offered = null;
    this.pair = -1;
    /** @type {Pick | null} */
    this.pick = null;
    this.choice = el("div", { class: "lab-composing-choice" });
    this.drawn = el("div", { class: "lab-composing-row", role: "group", "aria-label": "what the network draws" });
    this.real = el("div", { class: "lab-composing-row" });
    this.seen = el("div", { class: "lab-composing-row lab-composing-seen" });
    this.status = el("p", { class: "lab-status", role: "status" });
    this.seenTitle = el("h3", {}, "What it saw: the same in other hands");
    this.figures = el("div", {});
    const part = (/** @type {string} */ title, /** @type {HTMLElement} */ row) =>
      el("div", { class: "lab-composing-part" }, el("h3", {}, title), row);
    const both = el(
      "div",
      { class: "lab-composing-both" },
      part("What it draws", this.drawn),
      part("The real one, never seen", this.real),
    );
    const seen = el("div", { class: "lab-composing-part" }, this.seenTitle, this.seen);
    this.root = el(
      "section",
      { class: "lab-composing", "data-state": "empty" },
      this.choice,
      both,
      this.status,
      seen,
      this.figures,
    );
    element.replaceChildren(this.root);
  }

  sync() {
    const value = this.props.value;
    if (!value) return;
    if ("pairs" in value) {
      if (value.network !== this.offered?.network) this.offer(value);
    } else if ("data" in value && value.network === this.offered?.network && value.pair === this.pair) this.show(value);
  }

  /** @param {Offered} value */
  offer(value) {
    this.offered = value;
    const buttons = value.offered.map(({ pair, picture, name }) => {
      const title = spaced(name);
      const attributes = { type: "button", class: "lab-face", title, "aria-label": title, "data-pair": pair };
      return el(
        "button",
        { ...attributes, onclick: () => this.choose(pair) },
        el("img", { src: picture, alt: "", class: "lab-pixels" }),
      );
    });
    const names = value.pairs.map((pair) => pair.join(BY));
    this.pick = new Pick({
      name: "pair",
      choices: [],
      values: names,
      about: () => "",
      change: (name) => this.choose(names.indexOf(name)),
    });
    const label = el("label", { for: "lab-pick-pair" }, `or any of the ${names.length} pairs`);
    const faces = el("div", { class: "lab-faces", role: "group", "aria-label": "a pair of each hand" }, ...buttons);
    this.choice.replaceChildren(faces, el("div", { class: "lab-told-list" }, label, this.pick.node));
    this.table(value.figures);
    this.choose(value.pair);
  }

  /** @param {Offered["figures"]} figures */
  table({ rows, about }) {
    const head = ["found in", "unseen pairs", "seen pairs", "real pictures"];
    const line = (/** @type {string[]} */ cells, /** @type {"td" | "th"} */ tag) =>
      el("tr", {}, ...cells.map((cell, i) => el(i ? tag : "th", { scope: i ? null : "row" }, cell)));
    const body = rows.map((row) => line(row, "td"));
    const table = el("table", { class: "lab-table" }, line(head, "th"), ...body);
    this.figures.replaceChildren(el("div", { class: "lab-scroll" }, table), el("p", { class: "lab-note" }, about));
  }

  /**
   * A pair: its real pictures, and what was drawn of it beforehand, if that was.
   * @param {number} pair
   */
  async choose(pair) {
    if (!this.offered) return;
    const { network, pairs } = this.offered;
    this.pair = pair;
    this.props.value = { network, pair };
    this.pick?.show(pairs[pair].join(BY));
    for (const b of this.choice.querySelectorAll("button"))
      b.setAttribute("aria-pressed", String(b.dataset.pair === String(pair)));
    this.blank();
    try {
      const { real, seen, drawn } = await this.server.pictures_of_pair({ network, pair });
      if (this.pair !== pair || this.offered?.network !== network) return;
      this.real.replaceChildren(figure({ ...real, name: pairs[pair].join(BY) }, "x0"));
      this.seen.replaceChildren(...seen.map((picture) => figure(picture, "seen")));
      this.seenTitle.hidden = !seen.length;
      if (drawn && this.root.dataset.state === "blank") this.show(drawn);
    } catch {
      this.status.textContent = "The server did not answer; choose the pair again.";
    }
    setData(this.root, { pair });
  }

  /** Places for what has not been drawn yet. */
  blank() {
    const places = Array.from({ length: BLANKS }, () => el("div", { class: "lab-composing-blank" }));
    this.drawn.replaceChildren(...places);
    this.status.textContent = "Press “Draw it” to see what it makes of this pair.";
    setData(this.root, { state: "blank" });
  }

  /** @param {Drawn} value */
  show({ state, shape, data, status }) {
    const images = decode(data, shape, 1, constants().units.gap);
    const cells = Array.from({ length: images.samples }, (_, k) => {
      const canvas = el("canvas", { class: "lab-pixels", role: "img", "aria-label": `sample ${k + 1}` });
      images.paint(canvas, 0, 0, k);
      return el("figure", { class: "lab-figure lab-figure-xt" }, canvas);
    });
    this.drawn.replaceChildren(...cells);
    this.status.setAttribute("aria-live", state === "live" ? "off" : "polite");
    this.status.textContent = status;
    setData(this.root, { state });
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<{value: ComposingValue | null}, ComposingServer>} view
 */
export function mount(element, { props, watch, server }) {
  const composing = new Composing(element, props, server);
  watch("value", () => composing.sync());
  composing.sync();
}
