import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { oncePerFrame, oneAtATime } from "../../assets/js/scheduling.js";

/** @type {((time: number) => void)[]} */
let frames = [];
const nextFrame = () => {
  const now = frames;
  frames = [];
  for (const fn of now) fn(0);
};
beforeEach(() => {
  frames = [];
  globalThis.requestAnimationFrame = (fn) => frames.push(fn);
});
afterEach(() => {
  Reflect.deleteProperty(globalThis, "requestAnimationFrame");
});

test("the first call of a frame runs at once, the others together in the next", () => {
  let runs = 0;
  const call = oncePerFrame(() => runs++);
  call();
  assert.equal(runs, 1);
  call();
  call();
  assert.equal(runs, 1);
  nextFrame();
  assert.equal(runs, 2);
  nextFrame();
  assert.equal(runs, 2);
  call();
  assert.equal(runs, 3);
});

test("a task runs once at a time, and once more for all that was asked meanwhile", async () => {
  /** @type {((value: unknown) => void)[]} */
  const ends = [];
  let running = 0;
  let most = 0;
  const ask = oneAtATime(async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => ends.push(resolve));
    running--;
  });
  const done = ask();
  ask();
  ask();
  assert.equal(ends.length, 1);
  ends[0](null);
  await new Promise(setImmediate);
  assert.equal(ends.length, 2);
  ends[1](null);
  await done;
  assert.equal(ends.length, 2);
  assert.equal(most, 1);
});

test("a task that fails can be asked again", async () => {
  let runs = 0;
  const ask = oneAtATime(async () => {
    if (++runs === 1) throw new Error("no answer");
  });
  await assert.rejects(ask(), /no answer/);
  await ask();
  assert.equal(runs, 2);
});
