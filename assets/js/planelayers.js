// Which layers of the plane are shown: a chip each, kept in the link.

import { el, worded } from "./dom.js";
import { fromLink, putInLink } from "./link.js";

/** @typedef {"data" | "noised" | "density" | "eps" | "score" | "samples" | "paths" | "margins" | "learned" | "difference" | "made" | "step"} Layer */

export const FOLLOWED = 40; // samples whose paths are drawn, at most

/** @type {Record<string, Layer>} */
const OTHER = { eps: "score", score: "eps" }; // arrows of one field at a time
const TAUGHT = ["learned", "difference"]; // layers of a network that there may be
const SAMPLED = ["samples", "paths"]; // layers that are there when samples are
/** @type {[Layer, string, string][]} */
const CHIPS = [
  ["data", "data", "the points x_0"],
  ["noised", "x_t", "each point noised to t, x_t = a x_0 + b eps, with an eps of its own"],
  ["density", "density", "p_t, exactly: where x_t is likely to be"],
  ["eps", "ε", "the noise that the exact denoiser sees everywhere, as arrows"],
  ["score", "score", "the gradient of ln p_t, −ε over its deviation: where it is likelier, as arrows"],
  ["samples", "samples", "points on their way from noise back to the data"],
  ["paths", "paths", `the ways of up to ${FOLLOWED} samples, which they have come and will go`],
  ["margins", "margins", "x and y alone: of the samples as bars, and exactly as a line"],
  ["learned", "learned ε", "the noise that the network below sees, as arrows"],
  ["difference", "difference", "what it has learnt less what it should have, as arrows of five times the length"],
  ["made", "its samples", "what the network that learns here makes of always the same noises"],
  ["step", "step", "what one step of the chosen sampler adds to the followed point, x_s − x_t, in its three parts"],
];

export class PlaneLayers {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {Set<string>} */
    this.shown = new Set(fromLink("layers"));
    this.chips = CHIPS.map(([name, text, title]) =>
      el(
        "button",
        {
          type: "button",
          class: "lab-chip",
          title,
          "data-layer": name,
          onclick: () => this.put(name, !this.has(name)),
        },
        el("i", { class: `lab-layer lab-layer-${name}`, "aria-hidden": "true" }),
        el("span", {}, ...worded(text)),
      ),
    );
    this.root = el("div", { class: "lab-chips", role: "group", "aria-label": "layers" }, ...this.chips);
    this.show();
  }

  /** @param {Layer} name */
  has(name) {
    return this.shown.has(name);
  }

  show() {
    for (const chip of this.chips) {
      const layer = chip.dataset.layer ?? "";
      chip.setAttribute("aria-pressed", String(this.shown.has(layer)));
    }
  }

  /**
   * Switch a layer on or off.
   * @param {Layer} name
   * @param {boolean} on
   */
  put(name, on) {
    if (on) this.shown.add(name);
    else this.shown.delete(name);
    if (on && name in OTHER) this.shown.delete(OTHER[name]);
    this.show();
    putInLink({ layers: CHIPS.map(([layer]) => layer).filter((layer) => this.has(layer)) });
    this.changed();
  }

  /**
   * Whether there are samples to be shown.
   * @param {boolean} are
   */
  sampled(are) {
    for (const chip of this.chips) if (SAMPLED.includes(chip.dataset.layer ?? "")) chip.disabled = !are;
  }

  /**
   * Whether there is a network to be shown, and samples of it.
   * @param {boolean} is
   * @param {boolean} samples
   */
  taught(is, samples) {
    for (const chip of this.chips) {
      const layer = chip.dataset.layer ?? "";
      if (TAUGHT.includes(layer)) chip.disabled = !is;
      if (layer === "made") chip.disabled = !samples;
    }
  }
}
