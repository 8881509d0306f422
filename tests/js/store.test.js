import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { assign, edit, onEdit, setSchedule, setT, store, subscribe } from "../../assets/js/store.js";
import { part } from "./near.js";

/** @type {((time: number) => void)[]} */
let frames = [];
globalThis.requestAnimationFrame = (fn) => frames.push(fn);
const nextFrame = () => {
  const now = frames;
  frames = [];
  for (const fn of now) fn(0);
};
/** @type {string[][]} */
const heard = [];
subscribe((changes) => heard.push([...changes]));

beforeEach(() => {
  while (frames.length) nextFrame();
  Object.assign(store, { schedule: null, t: 0 });
  heard.length = 0;
});

const payload = (/** @type {number} */ T) => part({ T, columns: {} });

test("the first schedule takes its step from the link, or stands at 0.3 of its length", () => {
  setSchedule(payload(1000));
  assert.equal(store.t, 300);
  store.schedule = null;
  setSchedule(payload(1000), 77);
  assert.equal(store.t, 77);
});

test("another schedule keeps the place of the cursor", () => {
  setSchedule(payload(1000), 250);
  setSchedule(payload(40));
  assert.equal(store.t, 10);
  setSchedule(payload(40), 99);
  assert.equal(store.t, 40);
});

test("t is whole and within the schedule, and nobody hears of one that stays", () => {
  setT(5);
  assert.equal(store.t, 0); // there is no schedule yet
  setSchedule(payload(100), 50);
  while (frames.length) nextFrame();
  heard.length = 0;
  setT(50.4);
  assert.deepEqual(heard, []);
  setT(1e9);
  assert.equal(store.t, 100);
  assert.deepEqual(heard, [["t"]]);
});

test("changes of one frame are heard together", () => {
  assign({ axis: "u" });
  assign({ network: "digits" });
  assign({ axis: "t" });
  assert.deepEqual(heard, [["axis"]]);
  nextFrame();
  assert.deepEqual(heard, [["axis"], ["network", "axis"]]);
});

test("an edit goes to whoever changes the settings", () => {
  /** @type {object[]} */
  const asked = [];
  onEdit((change) => asked.push(change));
  edit({ T: 500 });
  assert.deepEqual(asked, [{ T: 500 }]);
});
