// What the whole page shares: the schedule, the step t and what goes with them. Views subscribe, and redraw once a frame.

import { unpack } from "./schedules.js";
import { oncePerFrame } from "./scheduling.js";

/** @import { Noising } from "./noising.js" */
/** @import { Player } from "./player.js" */
/** @import { Learned } from "./learning.js" */
/** @import { Drawn } from "./plane.js" */
/** @import { Place } from "./mixture.js" */
/** @import { Planned } from "./planeenough.js" */
/** @import { Walked } from "./planewalk.js" */
/** @import { Hovered, PlanePoints, Sketching } from "./planedata.js" */
/** @import { ChosenRun } from "./quality.js" */
/** @import { Pin, Schedule, SchedulePayload, Settings } from "./schedules.js" */
/** @import { Sight } from "./sight.js" */
/** @import { Weighed } from "./weighed.js" */

/** @typedef {"t" | "u" | "log_snr"} Axis */

/**
 * What was sent of the picture of the forward tab.
 * @typedef {object} Picture
 * @property {{url: string, path: string}} file
 * @property {number} width
 * @property {number} height
 * @property {number} channels
 * @property {number} seed
 * @property {string} key
 * @property {string | null} picture its name, if it is one of the page's own
 */

/** @typedef {Record<"xt" | "x0" | "eps", HTMLCanvasElement>} ForwardViews */

/**
 * Functions of the sidebar in Python that others ask too.
 * @typedef {object} ScheduleServer
 * @property {(asked: {settings: Settings, form: string}) => Promise<{name: string, text: string}>} export_schedule
 */

/**
 * Errors as they were weighed last, see loss.js: `at` gives w_t, C_t / D and the error.
 * @typedef {Weighed & {
 *   variance: string, about: string, at: (t: number) => {weight: number, extra: number, error: number}
 * }} Loss
 */

/**
 * @typedef {object} Store
 * @property {Schedule | null} schedule
 * @property {number} t
 * @property {Pin[]} pins schedules that are kept to compare with
 * @property {Axis} axis what curves are drawn over: t, t/T or log SNR
 * @property {{noising: Noising, value: Picture} | null} picture how to draw the picture at any level, and what was sent
 * @property {{views: ForwardViews, pictured: HTMLElement, player: Player} | null} stage the forward tab's canvases, what
 *   holds the first, and the player of t
 * @property {string | null} network the name of the one that was chosen last
 * @property {ChosenRun | null} chosen what the controls of the reverse tab say
 * @property {Loss | null} loss
 * @property {Sight | null} sight what a network sees in one image at any step
 * @property {PlanePoints | null} plane the points of the plane tab
 * @property {Sketching | null} sketching whether they are being drawn by hand
 * @property {Drawn | null} drawn how it stands with samples of it
 * @property {Place[]} followed the path of a point that is followed there; empty without one
 * @property {Planned | null} planned what the controls of a run on the plane say
 * @property {boolean} stepping whether what a step adds to it is shown
 * @property {Walked | null} walked the followed point on its way by the chosen sampler
 * @property {Hovered | null} hovered a point of the plane that is looked at
 * @property {Learned | null} learned what a network has learnt of these points
 * @property {string} wanted the key of points whose network is to be shown
 * @property {ScheduleServer | null} server
 */

/** @typedef {Set<string>} Changes the names of what changed in the store */

/** @type {Store} */
export const store = {
  schedule: null,
  t: 0,
  pins: [],
  axis: "t",
  picture: null,
  stage: null,
  network: null,
  chosen: null,
  loss: null,
  sight: null,
  plane: null,
  sketching: null,
  learned: null,
  drawn: null,
  followed: [],
  planned: null,
  stepping: false,
  walked: null,
  hovered: null,
  wanted: "",
  server: null,
};

/** @type {Set<(changes: Changes) => void>} */
const listeners = new Set();
/** @type {Changes} */
let changed = new Set();

/**
 * Call fn(changes) once a frame in which something changed.
 * @param {(changes: Changes) => void} fn
 */
export const subscribe = (fn) => listeners.add(fn);

const inform = oncePerFrame(() => {
  const changes = changed;
  changed = new Set();
  for (const fn of listeners) fn(changes);
});

/** @param {...string} names */
function announce(...names) {
  for (const name of names) changed.add(name);
  inform();
}

/**
 * Put new values into the store: assign({axis: "u"}).
 * @param {Partial<Store>} values
 */
export function assign(values) {
  Object.assign(store, values);
  announce(...Object.keys(values));
}

/** @typedef {(change: Partial<Settings>) => void} Edit */

/** @type {Edit} */
let editor = () => {};

/**
 * The sidebar says here how the settings of the schedule are changed.
 * @param {Edit} fn
 */
export function onEdit(fn) {
  editor = fn;
}

/**
 * Change the settings of the schedule: edit({T: 500}); all controls follow.
 * @type {Edit}
 */
export const edit = (change) => editor(change);

/** @param {number} t */
export function setT(t) {
  if (!store.schedule) return;
  const next = Math.min(store.schedule.T, Math.max(0, Math.round(t)));
  if (next === store.t) return;
  store.t = next;
  announce("t");
}

/**
 * A new schedule keeps the place of the cursor, t/T; the first one takes it from a link.
 * @param {SchedulePayload} payload
 * @param {number | null} t
 */
export function setSchedule(payload, t = null) {
  const part = store.schedule ? store.t / store.schedule.T : 0.3;
  store.schedule = unpack(payload);
  store.t = Math.min(payload.T, Math.max(0, Math.round(t ?? part * payload.T)));
  announce("schedule", "t");
}
