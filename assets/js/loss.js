// The loss tab: errors that were measured once, weighed for whatever schedule, variance and weight are chosen.

import { chart } from "./chart.js";
import { derivation } from "./derivation.js";
import { drawLedger } from "./ledger.js";
import { fromLink, putInLink } from "./link.js";
import {
  assign,
  button,
  choice,
  choose,
  digits,
  download,
  el,
  oneAtATime,
  setT,
  shown,
  stepAtSnr,
  store,
  subscribe,
  worded,
} from "./store.js";
import { tex } from "./tex.js";

const STRIP = 9;
const SHOWS = [
  ["error", "error"],
  ["weight", "weight"],
  ["term", "weight × error"],
  ["share", "share up to t"],
];
const VARIANCES = [
  ["beta", "β"],
  ["between", "√(β β̃)"],
  ["posterior", "β̃"],
];
const TITLES = {
  error: "E‖ε − ε<sub>θ</sub>‖² / D",
  weight: "weight of ‖ε − ε<sub>θ</sub>‖²",
  share: "share of the sum up to t",
};

export function mount(element, { props, watch, server }) {
  const weightings = props.weightings;
  const progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "measuring" });
  const status = el("p", { class: "lab-status", role: "status" });
  const linked = (name, values, otherwise) => (values.includes(fromLink(name)) ? fromLink(name) : otherwise);
  const chosen = {
    part: linked("part", ["curves", "ledger", "rate"], "curves"),
    show: linked(
      "show",
      SHOWS.map(([value]) => value),
      "error",
    ),
    variance: linked(
      "sigma",
      VARIANCES.map(([value]) => value),
      "posterior",
    ),
    scale: "log",
    unit: "bits",
    losses: new Set((fromLink("losses") ?? "simple posterior").split(" ").filter((name) => name in weightings)),
  };
  const set = (name, link) => (value) => {
    chosen[name] = value;
    if (link) putInLink({ [link]: value });
    draw();
  };
  const part = choice(
    "show",
    [
      ["curves", "curves"],
      ["ledger", "bits/dim"],
      ["rate", "rate and distortion"],
    ],
    chosen.part,
    set("part", "part"),
  );
  const variance = choice("variance σ²", VARIANCES, chosen.variance, set("variance", "sigma"));
  const show = choice("curve", SHOWS, chosen.show, set("show", "show"));
  const axis = choice(
    "over",
    [
      ["t", "t"],
      ["u", "t/T"],
      ["log_snr", "log SNR"],
    ],
    store.axis,
    (value) => assign({ axis: value }),
  );
  const scale = choice(
    "scale",
    [
      ["log", "log"],
      ["linear", "linear"],
    ],
    "log",
    set("scale"),
  );
  const unit = choice(
    "unit",
    [
      ["bits", "bits/dim"],
      ["nats", "nats an image"],
    ],
    "bits",
    set("unit"),
  );
  const chips = el(
    "div",
    { class: "lab-chips", role: "group", "aria-label": "losses that are drawn" },
    ...Object.entries(weightings).map(([name, { title, source }]) => {
      const chip = el(
        "button",
        {
          type: "button",
          class: "lab-chip",
          "data-loss": name,
          title: source,
          "aria-pressed": String(chosen.losses.has(name)),
          onclick: () => {
            if (!chosen.losses.delete(name)) chosen.losses.add(name);
            chip.setAttribute("aria-pressed", String(chosen.losses.has(name)));
            putInLink({ losses: [...chosen.losses].join(" ") });
            draw();
          },
        },
        el("span", {}, ...worded(title)),
      );
      return chip;
    }),
  );

  const curvesBar = el("div", { class: "lab-bar" }, show, axis, scale);
  const curves = el("div", {}, curvesBar, chips);
  const note = el("p", { class: "lab-note lab-said" });
  const bill = el("div", { class: "lab-part-view" });
  const strip = el("div", {
    class: "lab-strip",
    role: "group",
    "aria-label": "what the network makes of the image by then",
  });
  const rateNote = el(
    "p",
    { class: "lab-note" },
    ...worded(
      "Sent in order, x_T first, an image costs bits at every step, and at any step the receiver can look at the best guess so far. Most of the distortion is gone after few bits: the rest buys what the eye hardly sees (figure 5 of the paper). The pictures are the network's guesses of the image above; choose one to go there.",
    ),
  );
  const rates = el("div", { class: "lab-part-view" });
  const steps = derivation();
  const sources = el(
    "details",
    { class: "lab-details" },
    el("summary", {}, "The weights, and where they are from"),
    ...Object.values(weightings).map(({ title, formula, source }) =>
      el(
        "p",
        { class: "lab-weight" },
        el("b", {}, ...worded(title)),
        " ",
        tex(el("span", {}), formula),
        " ",
        el("span", { class: "lab-note" }, source),
      ),
    ),
  );
  const figures = ["png", "svg"].map((format) =>
    button(
      format.toUpperCase(),
      "save what is drawn",
      () => (chosen.part === "rate" ? rateView : view).save(format),
      `loss-${format}`,
    ),
  );
  const root = el(
    "section",
    { class: "lab-loss", "data-state": "loading" },
    el("div", { class: "lab-statusline" }, status, progress),
    el("div", { class: "lab-bar" }, part, variance, unit),
    curves,
    bill,
    rates,
    steps.node,
    sources,
    el(
      "div",
      { class: "lab-bar" },
      el("span", { class: "lab-choice-label" }, "figure"),
      ...figures,
      el("span", { class: "lab-choice-label" }, "numbers"),
      button("CSV", "errors, weights, terms, shares, rate and distortion at every step", save, "loss-csv"),
    ),
  );
  element.replaceChildren(root);
  const view = chart(curves, props.figure, props.plotly, "loss", { linked: true });
  curves.append(note);
  const rateView = chart(rates, props.rates, props.plotly, "rate-distortion", {
    over: { of: (t) => at(`rate_${chosen.variance}`, Math.max(1, t)), step: stepAtRate },
  });
  rates.append(strip, rateNote);
  const thumbs = Array.from({ length: STRIP }, () => {
    const canvas = el("canvas", { class: "lab-pixels", width: 32, height: 32 }),
      label = el("span", {});
    const node = el("button", { type: "button", onclick: () => setT(thumb.t) }, canvas, label);
    const thumb = { canvas, label, node, t: 0 };
    strip.append(node);
    return thumb;
  });

  let weighed = null,
    stale = true;
  // In a closed tab nothing is weighed or drawn: others are at work.
  const open = shown(root, () => (stale ? weigh() : drawStep()));

  /** A column at step t, between the steps that were sent. */
  function at(name, t) {
    const x = weighed?.columns.t,
      y = weighed?.columns[name];
    if (!y) return NaN;
    let low = 0,
      high = x.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (x[middle] <= t) low = middle;
      else high = middle;
    }
    if (t >= x[high]) return y[high] ?? NaN;
    if (y[low] == null || y[high] == null) return NaN;
    return y[low] + ((y[high] - y[low]) * (t - x[low])) / (x[high] - x[low]);
  }

  function stepAtRate(bits) {
    const y = weighed.columns[`rate_${chosen.variance}`];
    return weighed.columns.t[y.findIndex((v) => v <= bits)] ?? weighed.columns.t.at(-1);
  }

  const weigh = oneAtATime(async () => {
    const value = props.value;
    stale = true;
    if (!value || !store.schedule || !open()) return;
    stale = false;
    const { curve, references } = value,
      { settings } = store.schedule;
    try {
      weighed = await server.weigh({ curve, references, settings });
    } catch {
      status.textContent = "The server did not answer; bend the schedule to try again.";
      return;
    }
    root.dataset.points = curve.mean.length;
    draw();
    root.dataset.state = value.running ? "running" : "ready";
  });

  async function save() {
    if (!props.value || !store.schedule) return;
    const { curve, references } = props.value;
    try {
      const { name, text } = await server.export_loss({ curve, references, settings: store.schedule.settings });
      download(text, name);
    } catch {
      status.textContent = "The server did not answer; try again.";
    }
  }

  /** What the page shares of the loss: at(t) gives w_t, C_t / D and the error. */
  function share() {
    const variance = chosen.variance;
    assign({
      loss: {
        ...weighed,
        variance,
        about: props.value.about,
        at: (t) => ({ weight: at(`weight_${variance}`, t), extra: at(`extra_${variance}`, t), error: at("error", t) }),
      },
    });
  }

  function draw() {
    if (!weighed || !store.schedule || !props.value || !open()) return;
    share();
    for (const [node, name] of [
      [curves, "curves"],
      [bill, "ledger"],
      [rates, "rate"],
    ])
      node.hidden = chosen.part !== name;
    root.dataset.variance = chosen.variance;
    root.dataset.show = chosen.show;
    for (const node of figures) node.disabled = chosen.part === "ledger"; // no figure, but bars and a table
    unit.hidden = chosen.part !== "curves" || chosen.show !== "term";
    if (chosen.part === "curves") drawCurves();
    else if (chosen.part === "ledger") drawLedger(bill, weighed, props.published, props.value, store.schedule);
    else rateView.update({ rate: weighed.columns[`rate_${chosen.variance}`], distortion: weighed.columns.distortion });
    drawStep();
  }

  function drawCurves() {
    const { layout, data } = props.figure,
      { columns, measured, dimensions } = weighed;
    const error = chosen.show === "error",
      terms = chosen.show === "term";
    chips.hidden = error;
    scale.hidden = chosen.show === "share";
    const log = chosen.scale === "log" && chosen.show !== "share";
    const factor = terms && chosen.unit === "nats" ? dimensions * Math.LN2 : 1;
    // What the exact denoiser pays, beside the loss with the variance that is chosen.
    const least = terms && chosen.losses.has(chosen.variance) ? `known_${chosen.variance}` : "none";
    const places = measured[store.axis];
    const drawn = {
      ...columns,
      measured_x: places,
      measured: measured.error.map((v, i) => (places[i] == null ? null : v)), // beyond T
      measured_spread: measured.spread,
    };
    if (least in columns) drawn[least] = columns[least].map((v) => (v == null ? null : v * factor));
    for (const trace of data) {
      const { meta } = trace,
        name = meta.loss;
      meta.own ??= meta.y;
      const visible = name
        ? !error && chosen.losses.has(name)
        : error
          ? meta.own in drawn
          : meta.own === "known" && least in columns;
      trace.visible = visible;
      if (trace.mode !== "markers" && trace.line.width) trace.mode = store.schedule.T > 40 ? "lines" : "lines+markers"; // a line needs two points
      meta.y = visible ? (name ? `drawn_${name}` : error ? meta.own : least) : "";
      if (!name || !visible) continue;
      trace.name = weightings[name].title.replace(/_(\w+)/, "<sub>$1</sub>");
      // Only the bound's terms have a unit.
      const times = weightings[name].variance ? factor : 1;
      drawn[`drawn_${name}`] = columns[`${chosen.show}_${name}`].map((v) => (v == null ? null : v * times));
    }
    // The band is that of the error, or of the term with the variance that is chosen.
    if (terms && chosen.losses.has(chosen.variance)) {
      const term = columns[`term_${chosen.variance}`],
        spread = columns[`spread_${chosen.variance}`];
      const edge = (sign) =>
        term.map((v, i) => (v == null || spread[i] == null ? null : Math.max(v + sign * spread[i], v / 10) * factor));
      drawn.error_low = edge(-1);
      drawn.error_high = edge(1);
      for (const [i, name] of [
        [0, "error_low"],
        [1, "error_high"],
      ])
        Object.assign(data[i], { visible: true, meta: { ...data[i].meta, y: name } });
    }
    layout.meta.loss.range = chosen.show === "share" ? "unit" : log ? "decades" : "zero";
    layout.yaxis.type = log ? "log" : "linear";
    layout.yaxis.dtick = log ? 1 : undefined;
    layout.yaxis.title.text = terms
      ? `L<sub>t−1</sub>, ${chosen.unit === "nats" ? "nats an image" : "bits/dim"}`
      : TITLES[chosen.show];
    layout.uirevision = [chosen.show, log, store.axis, chosen.unit].join();
    view.update(drawn, true);
  }

  /** What follows the step t. */
  function drawStep() {
    if (!weighed || !store.schedule || !props.value || !open()) return;
    steps.draw();
    if (chosen.part === "curves") note.replaceChildren(...worded(said()));
    if (chosen.part === "rate") drawStrip();
  }

  /** What to see in the curves, at this t. */
  function said() {
    const { about, count, others, held_out: held, references } = props.value,
      t = Math.max(1, store.t);
    if (chosen.show !== "error" && !chosen.losses.size) return "Choose a loss above.";
    if (chosen.show === "share") {
      const halves = Object.keys(weightings)
        .filter((name) => chosen.losses.has(name))
        .map((name) => {
          const y = weighed.columns[`share_${name}`],
            i = y.findIndex((v) => v >= 0.5);
          return i < 0 ? "" : `${weightings[name].title} ${weighed.columns.t[i]}`;
        });
      return `Half of the sum lies at steps up to t: ${halves.filter(Boolean).join("; ")}. The bound is paid near t = 0; what L_simple trains, further up.`;
    }
    if (chosen.show === "weight")
      return "A loss is its weight times the error. On a log scale, parallel curves are the same loss.";
    if (chosen.show === "term") {
      return "Weight times error. The three KL divergences are in bits/dim, t = 2 … T; the other losses have no unit, and only their shape can be compared. The band is one standard error. Grey is the exact denoiser of all images, with the variance that is chosen: the gap to it is what the network pays for having no list of them.";
    }
    const network = at("error", t),
      known = at("known", t),
      other = at("others", t);
    const text = `At t = ${t} the squared error is ${digits(network)} on ${about} (bars: one standard error).`;
    if (!references.known) return text;
    const least = `The exact denoiser that knows all ${others + count} images by heart, these among them, has ${Number.isFinite(known) ? digits(known) : "next to none"}: the least that anything can have if each is as likely.`;
    if (!Number.isFinite(other)) return `${text} ${least}`;
    if (held === null)
      return `${text} ${least} One that knows only the ${others} others has ${digits(other)}. A network takes everything for what it was trained on: the more your picture differs from that, the larger its error.`;
    const alike =
      other / network < 1.2
        ? "Here the noise hides which image it is, and all guess alike."
        : held
          ? `The network, ${digits(other / network, 2)} times better on images it never saw, has learned what images are like, and not a list of them.`
          : `The network is ${digits(other / network, 2)} times better, so what it learned is not a list; it has seen these images in training${network > 2 * (known || 0) ? ", and still does not know them by heart" : ""}.`;
    return `${text} ${least} One that knows only ${others} others has ${digits(other)}. ${alike}`;
  }

  function drawStrip() {
    const { T, columns } = store.schedule;
    if (!store.sight || !strip.clientWidth) return;
    thumbs.forEach((thumb, k) => {
      thumb.t =
        stepAtSnr(store.schedule, columns.snr_db[T] + (k / (STRIP - 1)) * (columns.snr_db[1] - columns.snr_db[T])) || 1;
      const { guess } = store.sight.at(columns.snr_db[thumb.t] * (Math.LN10 / 10));
      store.sight.paint(thumb.canvas, guess);
      const bits = at(`rate_${chosen.variance}`, thumb.t);
      thumb.label.textContent = `${bits < 0.0005 ? "0" : digits(bits, 2)} bits`;
      thumb.node.setAttribute("aria-label", `t ${thumb.t}, after ${digits(bits, 2)} bits per dimension`);
    });
    const here = thumbs.reduce((best, thumb) =>
      Math.abs(thumb.t - store.t) < Math.abs(best.t - store.t) ? thumb : best,
    );
    for (const thumb of thumbs) thumb.node.classList.toggle("is-here", thumb === here);
    root.dataset.strip = "ready";
  }

  function sync() {
    const value = props.value;
    if (!value) {
      status.textContent = "Nothing measured yet: press Measure.";
      return;
    }
    // Pressed above, where what comes of it may lie out of sight.
    if (value.running && root.dataset.state !== "running" && matchMedia("(max-width: 760px)").matches)
      root.scrollIntoView({ block: "start" });
    // Spoken at the end of a run, not at every level.
    status.setAttribute("aria-live", value.running ? "off" : "polite");
    status.textContent = value.status;
    progress.hidden = !value.running;
    progress.value = value.part;
    weigh();
  }
  subscribe((changes) => {
    if (changes.has("schedule")) weigh();
    if (changes.has("axis")) {
      choose(axis, store.axis);
      draw();
    }
    if (changes.has("t") || changes.has("sight")) drawStep();
  });
  watch("value", sync);
  sync();
}
