// The schedule tab: pictures under the schedule and those pinned beside it, their curves, and their numbers.

import { chart } from "./chart.js";
import { handles } from "./handles.js";
import { fromLink, putInLink } from "./link.js";
import {
  assign,
  button,
  choice,
  choose,
  digits,
  download,
  edit,
  el,
  fixed,
  PINS,
  setText,
  shown,
  stepAtSnr,
  store,
  subscribe,
} from "./store.js";
import { fill, tex } from "./tex.js";

const THUMB = 128; // pixels of a picture's longer side, about

export function mount(element, { props }) {
  const root = el("section", { class: "lab-schedule" });
  const formula = tex(
    el("div", { class: "lab-formula" }),
    "\\beta_t=\\num{beta},\\quad \\ab_t=\\prod_{s=1}^{t}(1-\\beta_s)=\\num{ab},\\quad \\mathrm{SNR}(t)=\\frac{\\ab_t}{1-\\ab_t}=\\num{snr}",
  );
  const pin = button("Pin this schedule", "keep its curves and picture to compare with", pinIt, "pin");
  let matched = fromLink("match") === "snr" ? "snr" : "t";
  const match = choice(
    "pictures at the same",
    [
      ["t", "t/T"],
      ["snr", "SNR"],
    ],
    matched,
    (value) => {
      matched = value;
      putInLink({ match: value === "snr" ? "snr" : null });
      pictures();
    },
  );
  const axis = choice(
    "curves over",
    [
      ["t", "t"],
      ["u", "t/T"],
      ["log_snr", "log SNR"],
    ],
    store.axis,
    (value) => assign({ axis: value }),
  );
  const strip = el("div", { class: "lab-compare", role: "group", "aria-label": "the picture under each schedule" });
  root.append(formula, el("div", { class: "lab-bar" }, pin, match, axis), strip);
  element.replaceChildren(root);

  const remarks = el("div", { class: "lab-remarks" });
  const view = chart(root, window.innerWidth < 768 ? props.narrow : props.wide, props.plotly, "schedule", {
    linked: true,
    after: () => (place(), refreshHandles()),
  });
  view.frame.append(remarks);
  const refreshHandles = handles(view, store.limits);

  const table = el("table", { class: "lab-table" });
  const file = (form) => async () => {
    try {
      const { name, text } = await store.server.export_schedule({ settings: store.schedule.settings, form });
      download(text, name);
    } catch {
      hint.textContent = "The server did not answer; try again.";
    }
  };
  const hint = el("p", { class: "lab-note" });
  root.append(
    hint,
    el("div", { class: "lab-scroll" }, table),
    el(
      "div",
      { class: "lab-bar" },
      el("span", { class: "lab-choice-label" }, "figure"),
      button("PNG", "the curves as a picture", () => view.save("png"), "png"),
      button("SVG", "the curves as a drawing", () => view.save("svg"), "svg"),
      el("span", { class: "lab-choice-label" }, "schedule"),
      button("CSV", "every step: β, ᾱ, log SNR, β̃, weight", file("csv"), "csv"),
      button("JSON", "settings, summary, β and ᾱ", file("json"), "json"),
      button("diffusers", "configuration for DDPMScheduler.from_config", file("diffusers"), "diffusers"),
    ),
  );

  function pinIt() {
    if (!store.schedule || store.pins.length >= PINS) return;
    const used = new Set(store.pins.map((p) => p.colour));
    const colour = Array.from({ length: PINS }, (_, i) => i).find((i) => !used.has(i));
    assign({ pins: [...store.pins, { ...store.schedule, colour }] });
  }

  /** The schedule of the page first, then the pinned ones, and the step of each that is shown. */
  function rows() {
    const { schedule, t, pins } = store;
    const at = (other) =>
      matched === "snr" ? stepAtSnr(other, schedule.columns.snr_db[t]) : Math.round((t / schedule.T) * other.T);
    return [{ schedule, t, colour: null }, ...pins.map((p) => ({ schedule: p, t: at(p), colour: p.colour }))];
  }

  const swatch = (colour) =>
    el("i", {
      class: "lab-swatch",
      style: `border-top-color: var(${colour == null ? "--lab-schedule" : `--pin-${colour + 1}`}); border-top-style: ${colour == null ? "solid" : "dashed"}`,
    });

  const sub = (text) => {
    const [base, index] = text.split("_");
    return el("span", {}, base, el("sub", {}, index));
  };

  const canvases = [];
  function pictures() {
    if (!store.picture || !store.schedule || !open()) return; // in a closed tab there is nothing to see
    const { noising } = store.picture;
    const stride = Math.max(1, Math.round(Math.max(noising.width, noising.height) / THUMB));
    const all = rows();
    while (canvases.length > all.length) canvases.pop().figure.remove();
    while (canvases.length < all.length) {
      const canvas = el("canvas", { width: 64, height: 64, role: "img" }),
        caption = el("figcaption", {});
      const figure = el("figure", { class: "lab-figure" }, canvas, caption);
      canvases.push({ canvas, caption, figure });
      strip.append(figure);
    }
    strip.classList.toggle("is-pixel-art", Math.max(noising.width, noising.height) <= 64);
    all.forEach(({ schedule, t, colour }, k) => {
      const { canvas, caption, figure } = canvases[k];
      const { signal, noise, snr_db } = schedule.columns;
      noising.paint(canvas, signal[t], noise[t], stride);
      canvas.setAttribute("aria-label", `the picture under ${schedule.name} at t ${t}`);
      caption.replaceChildren(swatch(colour), ` t = ${t}, ${fixed(snr_db[t], 1)} dB`);
      figure.title = schedule.name;
      figure.dataset.t = t;
    });
    root.dataset.t = store.t;
  }

  const HEAD = ["", "schedule", "T", "ᾱ_T", "SNR at T", "t of 0 dB", "L_T", "above 0 dB", ""];
  const ABOUT = {
    L_T: "what is lost by starting from N(0, I), for the picture of the Forward tab",
    "t of 0 dB": "where signal and noise are equally strong",
    "above 0 dB": "share of steps with more signal than noise",
  };
  const body = el("tbody", {});
  table.append(
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ...HEAD.map((text) => el("th", { title: ABOUT[text] ?? "" }, text.includes("_") ? sub(text) : text)),
      ),
    ),
    body,
  );

  function tableRow({ schedule, colour }, k) {
    const act =
      colour == null
        ? ""
        : el(
            "span",
            { class: "lab-acts" },
            el(
              "button",
              {
                type: "button",
                class: "lab-small",
                title: `use ${schedule.name}`,
                onclick: () => edit(schedule.settings),
              },
              "use",
            ),
            el(
              "button",
              {
                type: "button",
                class: "lab-small",
                "aria-label": `unpin ${schedule.name}`,
                title: "unpin",
                onclick: () => assign({ pins: store.pins.filter((_, i) => i !== k - 1) }),
              },
              "✕",
            ),
          );
    return el("tr", {}, ...[swatch(colour), ...HEAD.slice(2).map(() => ""), act].map((cell) => el("td", {}, cell)));
  }

  function numbers() {
    const square = store.picture?.noising.meanSquare ?? 1,
      all = rows();
    all.forEach(({ schedule }, k) => {
      const s = schedule.summary;
      const bits = s.prior_kl[0] * square + s.prior_kl[1];
      const texts = [
        schedule.name,
        `${schedule.T}`,
        digits(s.last_alpha_bar),
        `${fixed(s.terminal_snr_db, 1)} dB`,
        s.t_equal == null ? "never" : fixed(s.t_equal, 1),
        `${digits(bits)} bits/dim`,
        `${(100 * s.share_above_0_db).toFixed(1)} %`,
      ];
      texts.forEach((text, i) => setText(body.rows[k].cells[i + 1], text));
    });
  }

  /** The table has the rows of the schedules that are compared. */
  function compared() {
    body.replaceChildren(...rows().map(tableRow));
    pin.disabled = store.pins.length >= PINS;
    root.dataset.pins = store.pins.length;
    numbers();
  }
  /** Each remark under the curve that it is about. */
  let placed = "";
  function place() {
    if (!store.schedule) return;
    const now = Object.keys(props.wide.layout.meta).flatMap((curve) => {
      const panel = view.panel(curve);
      const texts = store.schedule.remarks.filter((remark) => remark.curve === curve).map(({ text }) => text);
      if (!panel || !texts.length) return [];
      const low = panel.x.showticklabels ? 42 : 10; // below the title of the axis, where there is one
      return [{ curve, texts, left: panel.left, top: panel.top + panel.height + low, width: panel.width }];
    });
    const key = JSON.stringify(now);
    if (key === placed) return; // they are read out when they change
    placed = key;
    remarks.replaceChildren(
      ...now.map(({ curve, texts, left, top, width }) =>
        el(
          "div",
          { class: "lab-remark", "data-curve": curve, style: `left:${left}px; top:${top}px; width:${width}px` },
          ...texts.map((text) => el("p", { title: text, tabindex: 0 }, text)),
        ),
      ),
    );
  }

  function hints() {
    const drawn = store.schedule.settings.family === "drawn";
    hint.textContent = drawn
      ? store.axis === "log_snr"
        ? "Choose t or t/T for the curves to drag the points of this schedule."
        : "Drag the points in ᾱ or log SNR; double-click a curve's panel for another point, a point to take it out. Arrow keys move a point that has the focus."
      : "Move over a curve: the dashed line is the step t of the whole page. Log SNR is natural; at 0 signal and noise are equally strong. “drawn” among the families makes these curves your own.";
  }

  function terms() {
    const { beta, alpha_bar } = store.schedule.columns,
      { t } = store,
      ab = alpha_bar[t];
    fill(formula, { beta: t ? digits(beta[t]) : "–", ab: digits(ab, 4), snr: digits(ab / (1 - ab)) });
  }

  subscribe((changes) => {
    if (!store.schedule) return;
    terms();
    if (changes.has("schedule")) view.update(store.schedule.chart);
    if (changes.has("pins") || !body.rows.length) compared();
    else if (changes.has("schedule") || changes.has("picture")) numbers();
    if (changes.has("axis")) choose(axis, store.axis); // the loss tab has the same choice
    if (changes.has("schedule") || changes.has("axis")) hints();
    pictures();
  });
  const open = shown(strip, pictures);
  if (store.schedule) {
    view.update(store.schedule.chart);
    compared();
    hints();
    terms();
  }
}
