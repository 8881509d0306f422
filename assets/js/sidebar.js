// The sidebar: choose and bend the schedule; alpha-bar at a glance; what step t is worth.

import { fromLink, keepLink, numberFromLink, pinsFromLink, settingsFromLink } from "./link.js";
import {
  assign,
  digits,
  el,
  fixed,
  oneAtATime,
  onEdit,
  PINS,
  setSchedule,
  setT,
  store,
  subscribe,
  symbol,
  unpack,
} from "./store.js";
import { tex } from "./tex.js";

const POSITIONS = 1000;
const CSV_BYTES = 2 ** 21; // 4000 rows of our own table take a fifth; what is cut off lies beyond the last row allowed

/** Schedules that are no family: what they are called, and what stands in place of a formula and a source. */
const OTHERS = {
  drawn: {
    title: "drawn",
    formula: "\\log\\mathrm{SNR}(t/T)\\text{ through points}",
    source: "Drag the points in the Schedule tab; monotone cubics (Fritsch & Carlson 1980)",
    parameters: {},
  },
  given: {
    title: "from a CSV file",
    formula: "\\beta_1,\\ \\beta_2,\\ \\dots,\\ \\beta_T\\ \\text{as given}",
    source: "One beta a row, or a column headed beta",
    parameters: {},
  },
};

/** Ranges that span decades are moved along on a log scale. */
const scaleOf = ({ minimum: low, maximum: high }) =>
  low > 0 && high / low >= 100
    ? { to: (v) => Math.log(v / low) / Math.log(high / low), from: (p) => low * (high / low) ** p }
    : { to: (v) => (v - low) / (high - low), from: (p) => low + (high - low) * p };

const short = (value) => Number(value.toPrecision(3));

export function mount(element, { props, server }) {
  const families = { ...props.families, ...OTHERS };
  let linked = settingsFromLink(props.families, props.value);
  let broken = null; // what was wrong with it
  const settings = structuredClone(linked ?? props.value);
  const axis = fromLink("axis");
  assign({ server, limits: props.limits, axis: ["u", "log_snr"].includes(axis) ? axis : "t", network: props.network });
  let firstT = numberFromLink("t");
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

  /** What the server says, or that it says nothing. */
  async function reply(call, argument) {
    try {
      return await server[call](argument);
    } catch {
      return { error: { field: "family", message: "The server did not answer; the last schedule stays." } };
    }
  }

  const bend = oneAtATime(async () => {
    const asked = structuredClone(settings);
    const answer = await reply("bend_schedule", { settings: asked, network: store.network });
    clear();
    if (answer.error) {
      complain(answer.error);
      // A link that cannot be opened must not leave the page without a schedule.
      if (!store.schedule && linked) {
        linked = null;
        broken = {
          field: "family",
          message: `The link's schedule cannot be opened: ${answer.error.message} This is the usual one.`,
        };
        change(structuredClone(props.value));
      }
      return;
    }
    if (broken) complain(broken); // until something is changed
    broken = null;
    props.value = asked;
    setSchedule(answer, firstT);
    firstT = null;
    root.dataset.state = "ready";
  });

  const clear = () => {
    for (const node of root.querySelectorAll(".lab-error")) node.textContent = "";
  };
  function complain({ field, message }) {
    const place = root.querySelector(`[data-error="${field}"]`) ?? root.querySelector(".lab-error");
    place.textContent = message;
  }

  /** New values for some settings, from anywhere on the page. */
  function change(values) {
    const lines = Object.keys(values).every((key) => key === "points"); // a point is dragged: no control here changes
    Object.assign(settings, values);
    if (settings.family !== "drawn") delete settings.points;
    if (settings.family !== "given") delete settings.betas;
    if (!lines) build();
    bend();
  }
  onEdit(change);

  /** Ask the server for something other than a schedule; what it refuses is said where it belongs. */
  async function ask(call, argument, then) {
    clear();
    const answer = await reply(call, argument);
    if (answer.error) complain(answer.error);
    else then(answer);
  }

  function field(name, parameter, value, set) {
    const scale = scaleOf(parameter);
    const label = `${parameter.symbol}: ${parameter.about}`;
    const range = el("input", {
      type: "range",
      min: 0,
      max: POSITIONS,
      step: 1,
      "aria-label": label,
      "data-field": name,
    });
    const number = el("input", {
      type: "text",
      inputmode: "decimal",
      "aria-label": `${label}, as a number`,
      "data-number": name,
      autocomplete: "off",
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
    return el(
      "div",
      { class: "lab-field", title: parameter.about },
      symbol(parameter.symbol),
      number,
      range,
      error(name),
    );
  }

  const error = (name) => el("div", { class: "lab-error", role: "alert", "data-error": name });

  function tick(name, text, about, checked, set) {
    const box = el("input", { type: "checkbox", checked, "data-tick": name });
    box.addEventListener("change", () => {
      set(box.checked);
      build();
      bend();
    });
    return el("label", { class: "lab-tick", title: about }, box, text);
  }

  const upload = el("input", {
    type: "file",
    accept: ".csv,.txt,.tsv,.json,text/csv,text/plain,application/json",
    hidden: true,
    id: "lab-csv",
  });
  root.append(upload);
  upload.addEventListener("change", async () => {
    const [file] = upload.files;
    if (!file) return;
    const bytes = new Uint8Array(await file.slice(0, CSV_BYTES).arrayBuffer());
    upload.value = ""; // so that the same file can be chosen again
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    ask("read_upload", btoa(text), ({ settings: read }) => change(read));
  });

  function build() {
    const chosen = families[settings.family];
    family.value = settings.family;
    tex(formula, chosen.formula);
    source.textContent = chosen.source;
    const aim = el("input", {
      type: "text",
      inputmode: "decimal",
      "aria-label": "SNR at T in decibel",
      "data-number": "terminal_snr",
      autocomplete: "off",
      disabled: !chosen.per_step || settings.zero_terminal_snr,
    });
    aim.addEventListener("change", () => {
      const text = aim.value.trim().replace("−", "-").replace(",", ".");
      const snr_db = text === "" || !Number.isFinite(Number(text)) ? aim.value : Number(text);
      ask("aim_schedule", { settings, snr_db }, ({ params }) => change({ params }));
    });
    controls.replaceChildren(
      error("family"),
      error("points"),
      error("beta"),
      settings.family === "given"
        ? el(
            "button",
            { type: "button", class: "lab-save lab-wide", onclick: () => upload.click() },
            "Choose another file …",
          )
        : "",
      error("csv"),
      field("T", { symbol: "T", minimum: 2, maximum: 4000, whole: true, about: "number of steps" }, settings.T, (v) => {
        settings.T = v;
      }),
      chosen.per_step
        ? tick(
            "keep",
            settings.keep_shape_of
              ? `keep the shape of T = ${settings.keep_shape_of}`
              : "keep the shape when T changes",
            "scale every β by this T over the new one, so that ᾱ over t/T stays nearly as it is",
            settings.keep_shape_of != null,
            (on) => {
              settings.keep_shape_of = on ? settings.T : null;
            },
          )
        : "",
      ...Object.entries(chosen.parameters).map(([name, parameter]) =>
        field(name, parameter, settings.params[name], (v) => {
          settings.params[name] = v;
        }),
      ),
      el(
        "label",
        {
          class: "lab-field",
          title: chosen.per_step ? "type an SNR: the last β is solved for it" : "what this schedule leaves at T",
        },
        el("span", {}, "SNR at ", symbol("T"), ", dB"),
        aim,
        error("terminal_snr"),
      ),
      tick(
        "zero",
        "zero terminal SNR",
        "move and stretch the curve until nothing of the picture is left at T (Lin et al. 2023)",
        settings.zero_terminal_snr,
        (on) => {
          settings.zero_terminal_snr = on;
        },
      ),
    );
    showAim();
  }
  const showAim = () => {
    const aim = root.querySelector("[data-number=terminal_snr]");
    if (store.schedule && aim !== document.activeElement) aim.value = fixed(store.schedule.summary.terminal_snr_db, 1);
  };

  family.addEventListener("change", () => {
    const name = family.value;
    if (name === "drawn") {
      ask("take_up", settings, ({ points }) =>
        change({ family: "drawn", params: {}, keep_shape_of: null, zero_terminal_snr: false, points }),
      );
    } else if (name === "given") {
      family.value = settings.family; // until there is a file
      upload.click();
    } else {
      change({
        family: name,
        params: Object.fromEntries(Object.entries(families[name].parameters).map(([key, { default: v }]) => [key, v])),
      });
    }
  });

  // alpha-bar over t as a small drawing that is also a way to choose t.
  const W = 280,
    H = 84;
  const line = el("path", { class: "curve" });
  const cursor = el("line", { class: "cursor", y1: 0, y2: H });
  const dot = el("circle", { class: "dot", r: 4 });
  const svg = el("svg", { viewBox: `-4 -6 ${W + 8} ${H + 12}`, "aria-hidden": "true" }, line, cursor, dot);
  curve.append(
    el("div", { class: "lab-curve-title" }, el("span", {}, symbol("ᾱ_t"), ", the share of signal power")),
    svg,
    el("div", { class: "lab-curve-axis" }, el("span", {}, "t = 0"), el("span", { class: "lab-curve-end" })),
  );
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
    if (changes.has("network") && store.schedule) bend(); // what is said of a schedule depends on what is to run under it
    if (!store.schedule || (!changes.has("schedule") && !changes.has("t"))) return;
    const { T, columns } = store.schedule;
    const t = store.t;
    if (changes.has("schedule")) {
      showAim();
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

  /** The schedules that a link has pinned; one that cannot be made is left out. */
  async function restorePins() {
    const pins = [];
    for (const pinned of pinsFromLink().slice(0, PINS)) {
      const answer = await reply("bend_schedule", { settings: { ...props.value, ...pinned }, network: store.network });
      if (!answer.error) pins.push({ ...unpack(answer), colour: pins.length });
    }
    if (pins.length) assign({ pins });
  }

  build();
  bend()
    .then(restorePins)
    .then(() => keepLink(props.families));
  // On a phone the sidebar lies over the page: begin with it closed.
  if (window.innerWidth < 768) document.querySelector("#lab-side.open .toggle-button")?.click();
}
