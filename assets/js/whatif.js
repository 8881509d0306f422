// Rows of samples to be compared: what each row is, pictures that it starts from, then its samples.

import { decode } from "./frames.js";
import { el } from "./store.js";
import { tex } from "./tex.js";

const TITLES = { xt: "\\xt", pred: "\\xpred", x0: "\\xo" };

export function mount(element, { props, watch }) {
  const status = el("p", { class: "lab-status", role: "status" }, props.hint);
  const rows = el("div", { class: "lab-rows" });
  const root = el(
    "section",
    { class: "lab-whatif", "data-state": "empty" },
    status,
    el("div", { class: "lab-scroll" }, rows),
  );
  element.replaceChildren(root);

  function draw({ label, note, lead, shape, data }) {
    const images = decode(data, shape, 1);
    const cells = Array.from({ length: images.samples }, (_, k) => {
      const canvas = el("canvas", {
        class: "lab-pixels",
        role: "img",
        "aria-label": lead[k]?.title ?? `${label}, sample ${k + 1 - lead.length}`,
      });
      images.paint(canvas, 0, 0, k);
      const kind = lead[k]?.kind;
      return el(
        "figure",
        { class: `lab-figure ${kind ? `lab-lead lab-figure-${kind}` : ""}` },
        canvas,
        kind ? el("figcaption", {}, lead[k].title === "kept" ? "kept" : tex(el("span", {}), TITLES[kind])) : null,
      );
    });
    return el(
      "div",
      { class: "lab-samples" },
      el("div", { class: "lab-samples-label" }, el("b", {}, label), el("span", {}, note)),
      ...cells,
    );
  }

  function sync() {
    const value = props.value;
    if (!value || (value.opening && root.dataset.state !== "empty")) return; // an answer that was asked for stays
    status.setAttribute("aria-live", value.state === "live" ? "off" : "polite");
    status.textContent = value.status;
    rows.replaceChildren(...value.rows.map(draw));
    root.dataset.state = value.state;
    root.dataset.rows = value.rows.length;
  }
  watch("value", sync);
  sync();
}
