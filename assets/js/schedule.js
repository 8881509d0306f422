// The schedule tab: the curves of the page's schedule.

import { chart } from "./chart.js";
import { el, store, subscribe } from "./store.js";
import { tex } from "./tex.js";

export function mount(element, { props }) {
  const root = el("section", { class: "lab-schedule" });
  const formula = tex(
    el("div", { class: "lab-formula" }),
    "q(\\xt\\mid \\xs)=\\mathcal N\\big(\\sqrt{1-\\beta_t}\\,\\xs,\\ \\beta_t \\mathbf I\\big),\\qquad \\ab_t=\\prod_{s=1}^{t}(1-\\beta_s)",
  );
  root.append(formula);
  element.replaceChildren(root);
  const view = chart(root, window.innerWidth < 768 ? props.narrow : props.wide, props.plotly, "schedule");
  root.append(
    el("p", { class: "lab-note" },
      "The dashed line is the step t of the whole page; click a curve to move it. Log SNR is natural: 0 is where signal and noise are equally strong."),
  );
  const update = () => view.update(store.schedule.chart);
  subscribe((changes) => changes.has("schedule") && update());
  if (store.schedule) update();
}
