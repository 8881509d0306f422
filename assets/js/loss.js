// The loss tab: errors that were measured once, weighed for whatever schedule and variance are chosen.

import { chart } from "./chart.js";
import { el, oneAtATime, store, subscribe } from "./store.js";
import { tex } from "./tex.js";

export function mount(element, { props, watch, server }) {
  const progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "measuring" });
  const status = el("p", { class: "lab-status", role: "status" });
  const total = el("p", { class: "lab-total" });
  const root = el(
    "section", { class: "lab-loss", "data-state": "loading" },
    tex(
      el("div", { class: "lab-formula" }),
      "L_{t-1} = \\mathbb E\\Big[\\tfrac{\\beta_t^2}{2\\sigma_t^2\\,\\alpha_t(1-\\ab_t)}\\,\\big\\lVert \\ep-\\epred(\\xt,t)\\big\\rVert^2\\Big] + C_t",
    ),
    el("div", { class: "lab-statusline" }, status, progress),
  );
  element.replaceChildren(root);
  const view = chart(root, props.figure, props.plotly, "loss");
  root.append(total);

  const weigh = oneAtATime(async () => {
    const value = props.value;
    if (!value || !store.schedule) return;
    const { curve, variance, running } = value;
    const terms = await server.weigh({ curve, variance, settings: store.schedule.settings });
    view.update(terms.columns);
    total.textContent = terms.summary;
    root.dataset.variance = variance;
    root.dataset.points = curve.mean.length;
    root.dataset.state = running ? "running" : "ready";
  });
  function sync() {
    const value = props.value;
    if (!value) {
      status.textContent = "Nothing measured yet: press Measure.";
      return;
    }
    // Spoken at the end of a run, not at every level.
    status.setAttribute("aria-live", value.running ? "off" : "polite");
    status.textContent = value.status;
    progress.hidden = !value.running;
    progress.value = value.part;
    weigh();
  }
  subscribe((changes) => changes.has("schedule") && weigh());
  watch("value", sync);
  sync();
}
