// The sidebar: choose and bend the schedule; alpha-bar at a glance; what step t is worth.

import { digits, el, fixed, oneAtATime, setSchedule, setT, store, subscribe, symbol } from "./store.js";
import { tex } from "./tex.js";

const POSITIONS = 1000;

/** Ranges that span decades are moved along on a log scale. */
const scaleOf = ({ minimum: low, maximum: high }) =>
  low > 0 && high / low >= 100
    ? { to: (v) => Math.log(v / low) / Math.log(high / low), from: (p) => low * (high / low) ** p }
    : { to: (v) => (v - low) / (high - low), from: (p) => low + (high - low) * p };

const short = (value) => Number(value.toPrecision(3));

export function mount(element, { props, server }) {
  const families = props.families;
  const settings = structuredClone(props.value);
  const root = el("div", { class: "lab-sidebar", "data-state": "loading" });
  element.replaceChildren(root);

  const family = el("select", { id: "lab-family", "aria-label": "schedule family" });
  for (const [name, { title }] of Object.entries(families)) family.append(el("option", { value: name }, title));
  const formula = el("div", { class: "lab-family-formula" });
  const source = el("div", { class: "lab-note" });
  const controls = el("div");
  const curve = el("div", { class: "lab-curve" });
  const readings = el("dl", { class: "lab-readings", "aria-label": "readings at step t" });
  root.append(
    el("h2", {}, "Schedule"),
    el("label", { class: "lab-field" }, el("span", {}, "family"), family),
    formula,
    source,
    controls,
    curve,
    el("h2", {}, "Step ", el("i", { class: "lab-lower" }, "t")),
    readings,
  );

  const bend = oneAtATime(async () => {
    const asked = structuredClone(settings);
    let answer;
    try {
      answer = await server.bend_schedule(asked);
    } catch {
      answer = { error: { field: "family", message: "The server did not answer; the last schedule stays." } };
    }
    for (const node of root.querySelectorAll(".lab-error")) node.textContent = "";
    if (answer.error) {
      const place = root.querySelector(`[data-error="${answer.error.field}"]`) ?? root.querySelector(".lab-error");
      place.textContent = answer.error.message;
      return;
    }
    props.value = asked;
    setSchedule(answer);
    root.dataset.state = "ready";
  });

  function field(name, parameter, value, set) {
    const scale = scaleOf(parameter);
    const label = `${parameter.symbol}: ${parameter.about}`;
    const range = el("input", {
      type: "range", min: 0, max: POSITIONS, step: 1, "aria-label": label, "data-field": name,
    });
    const number = el("input", {
      type: "text", inputmode: "decimal", "aria-label": `${label}, as a number`, "data-number": name, autocomplete: "off",
    });
    const paint = (v) => {
      const part = Math.min(1, Math.max(0, scale.to(v)));
      range.value = Math.round(part * POSITIONS);
      range.style.setProperty("--part", part);
      range.setAttribute("aria-valuetext", `${parameter.symbol} ${v}`);
    };
    paint(value);
    number.value = value;
    range.addEventListener("input", () => {
      const raw = scale.from(range.value / POSITIONS);
      const v = parameter.whole ? Math.round(raw) : short(raw);
      number.value = v;
      paint(v);
      set(v);
      bend();
    });
    number.addEventListener("change", () => {
      const v = number.value.trim() === "" ? NaN : Number(number.value.replace(",", "."));
      if (Number.isFinite(v)) paint(v);
      set(Number.isFinite(v) ? v : number.value);
      bend();
    });
    const error = el("div", { class: "lab-error", role: "alert", "data-error": name });
    return el(
      "div", { class: "lab-field", title: parameter.about },
      symbol(parameter.symbol), number, range, error,
    );
  }

  function build() {
    const chosen = families[settings.family];
    tex(formula, chosen.formula);
    source.textContent = chosen.source;
    controls.replaceChildren(
      el("div", { class: "lab-error", role: "alert", "data-error": "family" }),
      field("T", { symbol: "T", minimum: 2, maximum: 4000, whole: true, about: "number of steps" }, settings.T, (v) => {
        settings.T = v;
      }),
      ...Object.entries(chosen.parameters).map(([name, parameter]) =>
        field(name, parameter, settings.params[name], (v) => {
          settings.params[name] = v;
        }),
      ),
    );
  }

  family.value = settings.family;
  family.addEventListener("change", () => {
    settings.family = family.value;
    settings.params = Object.fromEntries(
      Object.entries(families[family.value].parameters).map(([name, { default: v }]) => [name, v]),
    );
    build();
    bend();
  });

  // alpha-bar over t as a small drawing that is also a way to choose t.
  const W = 280, H = 84;
  const line = el("path", { class: "curve" });
  const cursor = el("line", { class: "cursor", y1: 0, y2: H });
  const dot = el("circle", { class: "dot", r: 4 });
  const svg = el("svg", { viewBox: `-4 -6 ${W + 8} ${H + 12}`, "aria-hidden": "true" }, line, cursor, dot);
  curve.append(el("div", { class: "lab-curve-title" }, el("span", {}, symbol("ᾱ_t"), ", the share of signal power")), svg,
    el("div", { class: "lab-curve-axis" }, el("span", {}, "t = 0"), el("span", { class: "lab-curve-end" })));
  const choose = (event) => {
    const box = svg.getBoundingClientRect();
    if (store.schedule) setT(((event.clientX - box.left) / box.width) * store.schedule.T);
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    choose(event);
  });
  svg.addEventListener("pointermove", (event) => event.buttons && choose(event));

  const rows = Object.fromEntries(
    [
      ["t", "t", "the step"],
      ["beta", "β_t", "variance added by step t"],
      ["ab", "ᾱ_t", "share of signal power left"],
      ["snr", "SNR", "signal-to-noise ratio, 10 log₁₀ ᾱ/(1−ᾱ)"],
    ].map(([key, name, about]) => {
      const value = el("dd", { "data-reading": key });
      readings.append(el("dt", { title: about }, name === "SNR" ? name : symbol(name)), value);
      return [key, value];
    }),
  );

  subscribe((changes) => {
    const { T, columns } = store.schedule;
    const t = store.t;
    if (changes.has("schedule")) {
      const n = Math.min(T, 140);
      const points = Array.from({ length: n + 1 }, (_, i) => {
        const at = Math.round((i / n) * T);
        return `${((at / T) * W).toFixed(1)} ${((1 - columns.alpha_bar[at]) * H).toFixed(1)}`;
      });
      line.setAttribute("d", `M${points.join("L")}`);
      curve.querySelector(".lab-curve-end").textContent = `T = ${T}`;
    }
    const x = (t / T) * W;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", (1 - columns.alpha_bar[t]) * H);
    rows.t.textContent = `${t} of ${T}`;
    rows.beta.textContent = digits(columns.beta[t]);
    rows.ab.textContent = digits(columns.alpha_bar[t], 4);
    rows.snr.textContent = `${fixed(columns.snr_db[t], 1)} dB`;
  });

  build();
  bend();
  // On a phone the sidebar lies over the page: begin with it closed.
  if (window.innerWidth < 768) document.querySelector("#lab-side.open .toggle-button")?.click();
}
