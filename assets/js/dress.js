// The page's colours in figures, light or dark; or those of paper, which is always light.

import { constants } from "./constants.js";

/**
 * A colour of the page, or of paper.
 * @param {string} name
 * @param {boolean} [paper]
 */
export const read = (name, paper) =>
  getComputedStyle(paper ? document.documentElement : document.body)
    .getPropertyValue(name)
    .trim();

/**
 * A trace, or a part of one, in the colours that `colour` finds by name.
 * @template {Record<string, unknown>} P
 * @param {P} part
 * @param {(name: string) => string} colour
 * @returns {P}
 */
export function themed(part, colour) {
  const { colours } = constants();
  /** @type {Record<string, unknown>} */
  const result = { ...part };
  for (const [key, value] of Object.entries(part)) {
    if (key === "color" && String(value) in colours) result.color = colour(colours[String(value)]);
    else if (["line", "marker", "error_y"].includes(key))
      result[key] = themed(/** @type {Record<string, unknown>} */ (value), colour);
  }
  return /** @type {P} */ (result);
}

/**
 * Text, grid and background in those colours.
 * @param {PlotlyLayout} layout
 */
export function dress(layout, paper = false) {
  const ink = read("--lab-ink-soft", paper);
  const grid = read("--lab-grid", paper);
  /** @type {PlotlyLayout} */
  const dressed = {
    ...layout,
    paper_bgcolor: paper ? "#ffffff" : "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...layout.font, color: ink },
    hoverlabel: { bgcolor: read("--lab-panel", paper), font: { color: ink } },
    annotations: (layout.annotations ?? []).map((a) => ({ ...a, font: { ...a.font, color: ink } })),
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: read("--lab-ink", paper) },
  };
  const page = paper ? "#ffffff" : read("--lab-page");
  for (const [key, value] of Object.entries(layout)) {
    const part = /** @type {object} */ (value);
    if (/^legend\d*$/.test(key)) dressed[key] = { ...part, bgcolor: `${page}cc` }; // lines shine through
    if (/^[xy]axis\d*$/.test(key)) dressed[key] = { ...part, gridcolor: grid, zerolinecolor: grid, linecolor: grid };
  }
  return dressed;
}
