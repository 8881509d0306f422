import assert from "node:assert/strict";
import { test } from "node:test";
import { change, headToTail, longer, stepAt, summed } from "../../assets/js/steps.js";

/** @import { WalkedStep } from "../../assets/js/steps.js" */

/** @returns {WalkedStep} */
const step = (t = 500, s = 400) => ({
  t,
  s,
  x: [1, -1],
  data: [0.03, 0.01],
  noise: [-0.02, 0.02],
  fresh: [0.01, -0.05],
  terms: { x0: 0.3, x0_before: -0.1, eps: -0.2, z: 0.05 },
});

test("parts lie head to tail from x_t, and end where the step does", () => {
  for (const times of [1, 10]) {
    const arrows = headToTail(step(), times);
    assert.deepEqual(
      arrows.map(({ part }) => part),
      ["data", "noise", "fresh"],
    );
    assert.deepEqual(arrows[0].from, [1, -1]);
    for (const k of [1, 2]) assert.deepEqual(arrows[k].from, arrows[k - 1].to);
    const [x, y] = change(step());
    assert.ok(Math.hypot(arrows[2].to[0] - 1 - times * x, arrows[2].to[1] + 1 - times * y) < 1e-12);
  }
  assert.equal(headToTail({ ...step(), fresh: null }, 1).length, 2);
});

test("short steps are drawn a round number of times longer, long ones as they are", () => {
  const times = longer(step());
  assert.equal(times, 10);
  assert.equal(longer({ ...step(), data: [0.5, 0], fresh: null }), 1);
  assert.equal(longer({ ...step(), data: [3, 0] }), 1);
  assert.equal(longer({ ...step(), data: [0.0003, 0], noise: [0, 0], fresh: null }), 2000);
  assert.equal(longer({ ...step(), data: [0, 0], noise: [0, 0], fresh: null }), 1);
});

test("the step at t has left and not arrived", () => {
  const steps = [step(1000, 500), step(500, 200), step(200, 0)];
  const at = (/** @type {number} */ t) => stepAt(steps, t).t;
  assert.deepEqual([1000, 501, 500, 201, 200, 1, 0].map(at), [1000, 1000, 500, 500, 200, 200, 200]);
});

test("a part says what it is a sum of", () => {
  assert.equal(summed(step(), "data"), "0.3 x̂_0 − 0.1 x̂_0′");
  assert.equal(summed(step(), "noise"), "−0.2 ε̂");
  assert.equal(summed(step(), "fresh"), "0.05 z");
});
