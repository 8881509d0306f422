// The sidebar: choose and bend the schedule; alpha-bar at a glance; what step t is worth.

import { constants } from "./constants.js";
import { el, symbol } from "./dom.js";
import { errorPlace, numberField, tickBox } from "./fields.js";
import { Glance, readings } from "./glance.js";
import { fromLink, keepLink, settingsFromLink } from "./link.js";
import { fixed, typedNumber } from "./numbers.js";
import { unpack } from "./schedules.js";
import { oneAtATime } from "./scheduling.js";
import { assign, onEdit, setSchedule, store, subscribe } from "./store.js";
import { tex } from "./tex.js";

/** @import { Family, Parameter, Pin, SchedulePayload, Settings } from "./schedules.js" */
/** @import { Changes, ScheduleServer } from "./store.js" */

const CSV_TYPES = ".csv,.txt,.tsv,.json,text/csv,text/plain,application/json";
const PIECE = 8192; // bytes that become characters at once
const NARROW = 768; // pixels of a page over which the sidebar lies

/** Schedules that are no family: what they are called, and what stands in place of a formula and a source. */
/** @type {Record<string, Family>} */
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
/** @returns {Parameter} */
function stepsParameter() {
  const [minimum, maximum] = constants().limits.T;
  return { symbol: "T", minimum, maximum, whole: true, about: "number of steps" };
}

/** @typedef {{field: string, message: string}} Complaint */
/**
 * An answer of the server, or what is wrong with what was asked.
 * @template V
 * @typedef {(V & {error?: undefined}) | {error: Complaint}} Answer
 */
/**
 * @typedef {ScheduleServer & {
 *   bend_schedule: (asked: {settings: Settings, network: string | null}) => Promise<Answer<SchedulePayload>>,
 *   aim_schedule: (asked: {settings: Settings, snr_db: number | string}) => Promise<Answer<Pick<Settings, "params">>>,
 *   points_of_curve: (settings: Settings) => Promise<Answer<Pick<Settings, "points">>>,
 *   read_upload: (base64: string) => Promise<Answer<{settings: Settings}>>,
 * }} SidebarServer
 */
/** @typedef {{value: Settings, families: Record<string, Family>, network: string}} SidebarProps */

/**
 * What the server says, or that it says nothing.
 * @template V
 * @param {() => Promise<Answer<V>>} call
 * @returns {Promise<Answer<V>>}
 */
async function reply(call) {
  try {
    return await call();
  } catch {
    return { error: { field: "family", message: "The server did not answer; the last schedule stays." } };
  }
}

/**
 * The beginning of a file, in base64: what is cut off lies beyond the last row allowed.
 * @param {File} file
 */
async function readFile(file) {
  const bytes = new Uint8Array(await file.slice(0, constants().limits.csv).arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += PIECE) text += String.fromCharCode(...bytes.subarray(i, i + PIECE));
  return btoa(text);
}

class Sidebar {
  /**
   * @param {HTMLElement} element
   * @param {SidebarProps} props
   * @param {SidebarServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.server = server;
    /** @type {Record<string, Family>} */
    this.families = { ...props.families, ...OTHERS };
    this.linked = settingsFromLink(props.families, props.value);
    /** @type {Complaint | null} */
    this.broken = null; // what was wrong with the link
    this.settings = structuredClone(this.linked ?? props.value);
    assign({ server, axis: fromLink("axis"), network: props.network });
    this.firstT = fromLink("t");
    this.family = el("select", { id: "lab-family", "aria-label": "schedule family" });
    for (const [value, { title }] of Object.entries(this.families)) this.family.append(el("option", { value }, title));
    this.formula = el("div", { class: "lab-family-formula" });
    this.source = el("div", { class: "lab-note" });
    this.controls = el("div");
    this.upload = el("input", { type: "file", accept: CSV_TYPES, hidden: true, id: "lab-csv" });
    const curve = el("div", { class: "lab-curve" });
    const list = el("dl", { class: "lab-readings", "aria-label": "readings at step t" });
    this.root = this.build(curve, list);
    element.replaceChildren(this.root);
    this.aim = this.aimInput();
    this.glance = new Glance(curve);
    this.read = readings(list);
    this.bend = oneAtATime(() => this.askSchedule());
    onEdit((values) => this.change(values));
    this.upload.addEventListener("change", () => this.takeFile());
    this.family.addEventListener("change", () => this.chooseFamily(this.family.value));
    subscribe((changes) => this.follow(changes));
  }

  /**
   * @param {HTMLElement} curve
   * @param {HTMLElement} list
   */
  build(curve, list) {
    return el(
      "div",
      { class: "lab-sidebar", "data-state": "loading" },
      el("h2", {}, "Schedule"),
      el("label", { class: "lab-field" }, el("span", {}, "family"), this.family),
      this.formula,
      this.source,
      this.controls,
      curve,
      el("h2", {}, "Step ", el("i", { class: "lab-lower" }, "t")),
      list,
      this.upload,
    );
  }

  /** What is asked of the server by these settings. */
  asked(settings = structuredClone(this.settings)) {
    return { settings, network: store.network };
  }

  async askSchedule() {
    const asked = this.asked();
    const answer = await reply(() => this.server.bend_schedule(asked));
    this.clear();
    if (answer.error) {
      this.refuse(answer.error);
      return;
    }
    if (this.broken) this.complain(this.broken); // until something is changed
    this.broken = null;
    this.props.value = asked.settings;
    setSchedule(answer, this.firstT);
    this.firstT = null;
    this.root.dataset.state = "ready";
  }

  /**
   * A link that cannot be opened must not leave the page without a schedule.
   * @param {Complaint} error
   */
  refuse(error) {
    this.complain(error);
    if (store.schedule || !this.linked) return;
    this.linked = null;
    const message = `The link's schedule cannot be opened: ${error.message} This is the usual one.`;
    this.broken = { field: "family", message };
    this.change(structuredClone(this.props.value));
  }

  clear() {
    for (const node of this.root.querySelectorAll(".lab-error")) node.textContent = "";
  }

  /** @param {Complaint} complaint */
  complain({ field, message }) {
    const place = this.root.querySelector(`[data-error="${field}"]`) ?? this.root.querySelector(".lab-error");
    if (place) place.textContent = message;
  }

  /**
   * New values for some settings, from anywhere on the page.
   * @param {Partial<Settings>} values
   */
  change(values) {
    const lines = Object.keys(values).every((key) => key === "points"); // a point is dragged: no control here changes
    Object.assign(this.settings, values);
    if (this.settings.family !== "drawn") delete this.settings.points;
    if (this.settings.family !== "given") delete this.settings.betas;
    if (!lines) this.buildControls();
    this.bend();
  }

  /**
   * Ask the server for something other than a schedule; what it refuses is said where it belongs.
   * @template V
   * @param {() => Promise<Answer<V>>} call
   * @param {(answer: V) => void} then
   */
  async ask(call, then) {
    this.clear();
    const answer = await reply(call);
    if (answer.error) this.complain(answer.error);
    else then(answer);
  }

  async takeFile() {
    const file = this.upload.files?.[0];
    if (!file) return;
    const text = await readFile(file);
    this.upload.value = ""; // so that the same file can be chosen again
    this.ask(
      () => this.server.read_upload(text),
      ({ settings }) => this.change(settings),
    );
  }

  /** The SNR at T, which can be typed where the last beta can be solved for it. */
  aimInput() {
    const aim = el("input", {
      type: "text",
      inputmode: "decimal",
      "aria-label": "SNR at T in decibel",
      "data-number": "terminal_snr",
      autocomplete: "off",
      disabled: !this.families[this.settings.family].per_step || this.settings.zero_terminal_snr,
    });
    aim.addEventListener("change", () => {
      const number = typedNumber(aim.value.replace("−", "-"));
      const snr_db = Number.isFinite(number) ? number : aim.value;
      this.ask(
        () => this.server.aim_schedule({ settings: this.settings, snr_db }),
        ({ params }) => this.change({ params }),
      );
    });
    return aim;
  }

  aimField() {
    const per_step = this.families[this.settings.family].per_step;
    const title = per_step ? "type an SNR: the last β is solved for it" : "what this schedule leaves at T";
    const words = el("span", {}, "SNR at ", symbol("T"), ", dB");
    return el("label", { class: "lab-field", title }, words, this.aim, errorPlace("terminal_snr"));
  }

  /** Tick or untick something that changes what can be set. */
  ticked() {
    this.buildControls();
    this.bend();
  }

  keepBox() {
    const { settings } = this;
    const kept = settings.keep_shape_of;
    return tickBox(
      "keep",
      kept ? `keep the shape of T = ${kept}` : "keep the shape when T changes",
      "scale every β by this T over the new one, so that ᾱ over t/T stays nearly as it is",
      kept != null,
      (on) => {
        settings.keep_shape_of = on ? settings.T : null;
        this.ticked();
      },
    );
  }

  zeroBox() {
    const { settings } = this;
    return tickBox(
      "zero",
      "zero terminal SNR",
      "move and stretch the curve until nothing of the picture is left at T (Lin et al. 2023)",
      settings.zero_terminal_snr === true,
      (on) => {
        settings.zero_terminal_snr = on;
        this.ticked();
      },
    );
  }

  /** A field for each parameter of the family. */
  parameterFields() {
    const { family, params } = this.settings;
    return Object.entries(this.families[family].parameters).map(([name, parameter]) =>
      numberField(name, parameter, params[name], (value) => {
        this.settings.params[name] = value;
        this.bend();
      }),
    );
  }

  buildControls() {
    const { settings } = this;
    const chosen = this.families[settings.family];
    this.family.value = settings.family;
    tex(this.formula, chosen.formula);
    this.source.textContent = chosen.source;
    this.aim = this.aimInput();
    const again = () =>
      el(
        "button",
        { type: "button", class: "lab-save lab-wide", onclick: () => this.upload.click() },
        "Choose another file …",
      );
    const stepsField = numberField("T", stepsParameter(), settings.T, (T) => {
      Object.assign(settings, { T });
      this.bend();
    });
    this.controls.replaceChildren(
      errorPlace("family"),
      errorPlace("points"),
      errorPlace("beta"),
      settings.family === "given" ? again() : "",
      errorPlace("csv"),
      stepsField,
      chosen.per_step ? this.keepBox() : "",
      ...this.parameterFields(),
      this.aimField(),
      this.zeroBox(),
    );
    this.showAim();
  }

  showAim() {
    if (!store.schedule || this.aim === document.activeElement) return;
    this.aim.value = fixed(store.schedule.summary.terminal_snr_db, 1);
  }

  /** @param {string} family */
  chooseFamily(family) {
    if (family === "drawn") {
      const bare = { family, params: {}, keep_shape_of: null, zero_terminal_snr: false };
      this.ask(
        () => this.server.points_of_curve(this.settings),
        ({ points }) => this.change({ ...bare, points }),
      );
    } else if (family === "given") {
      this.family.value = this.settings.family; // until there is a file
      this.upload.click();
    } else {
      const parameters = Object.entries(this.families[family].parameters);
      this.change({ family, params: Object.fromEntries(parameters.map(([name, { default: v }]) => [name, v])) });
    }
  }

  /** @param {Changes} changes */
  follow(changes) {
    const { schedule, t } = store;
    if (!schedule) return;
    if (changes.has("network")) this.bend(); // what is said of a schedule depends on what is to run under it
    if (!changes.has("schedule") && !changes.has("t")) return;
    if (changes.has("schedule")) {
      this.showAim();
      this.glance.draw(schedule);
    }
    this.glance.move(schedule, t);
    this.read(schedule, t);
  }

  /** The schedules that a link has pinned; one that cannot be made is left out. */
  async restorePins() {
    /** @type {Pin[]} */
    const pins = [];
    for (const pinned of fromLink("pins")) {
      const asked = this.asked({ ...this.props.value, ...pinned });
      const answer = await reply(() => this.server.bend_schedule(asked));
      if (!answer.error) pins.push({ ...unpack(answer), colour: pins.length });
    }
    if (pins.length) assign({ pins });
  }

  async begin() {
    this.buildControls();
    await this.bend();
    await this.restorePins();
    keepLink(this.props.families);
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<SidebarProps, SidebarServer>} view
 */
export function mount(element, { props, server }) {
  new Sidebar(element, props, server).begin();
  // On a phone the sidebar lies over the page: begin with it closed.
  if (window.innerWidth < NARROW) {
    /** @type {HTMLElement | null} */ (document.querySelector("#lab-side.open .toggle-button"))?.click();
  }
}
