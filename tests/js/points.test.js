import assert from "node:assert/strict";
import { test } from "node:test";
import { addPoint, fromShown, movePoint, removePoint, toShown } from "../../assets/js/points.js";
import { near } from "./near.js";

/** @import { Point } from "../../assets/js/points.js" */

/** @type {Point[]} */
const POINTS = [
  [0, 8],
  [0.5, 0],
  [1, -8],
];
const LIMITS = { points: 4, log_snr: 15 };

test("a point goes where it is moved, and the others stay", () => {
  assert.deepEqual(movePoint(POINTS, 1, [0.6, 2], LIMITS), [
    [0, 8],
    [0.6, 2],
    [1, -8],
  ]);
  assert.deepEqual(POINTS[1], [0.5, 0]);
});

test("log SNR falls from point to point, however far one is moved", () => {
  /** @type {Point[]} */
  const far = [
    [2, 100],
    [-2, -100],
  ];
  for (const to of far) {
    for (const k of [0, 1, 2]) {
      const moved = movePoint(POINTS, k, to, LIMITS);
      for (let i = 1; i < moved.length; i++) {
        assert.ok(moved[i][0] > moved[i - 1][0] && moved[i][1] < moved[i - 1][1], JSON.stringify(moved));
      }
      assert.ok(moved.every(([, l]) => Math.abs(l) <= LIMITS.log_snr));
    }
  }
});

test("the first and the last keep their place, and cannot be taken out", () => {
  assert.equal(movePoint(POINTS, 0, [0.3, 9], LIMITS)[0][0], 0);
  assert.equal(movePoint(POINTS, 2, [0.7, -9], LIMITS)[2][0], 1);
  assert.equal(removePoint(POINTS, 0), null);
  assert.equal(removePoint(POINTS, 2), null);
  assert.deepEqual(removePoint(POINTS, 1), [POINTS[0], POINTS[2]]);
});

test("a point is added between its neighbours, and between their values", () => {
  assert.deepEqual(addPoint(POINTS, [0.25, 4], LIMITS), [POINTS[0], [0.25, 4], POINTS[1], POINTS[2]]);
  const added = addPoint(POINTS, [0.25, 100], LIMITS);
  assert.ok(added);
  const [, [u, l]] = added;
  assert.equal(u, 0.25);
  assert.ok(l < 8 && l > 7.9);
});

test("there is no room for a point on another, beyond the ends, or beyond the most", () => {
  assert.equal(addPoint(POINTS, [0.501, 0], LIMITS), null);
  assert.equal(addPoint(POINTS, [1.2, 0], LIMITS), null);
  assert.equal(addPoint(POINTS, [-0.1, 0], LIMITS), null);
  assert.equal(addPoint(POINTS, [0.25, 4], { points: 3 }), null);
});

test("alpha-bar and log SNR are the same point in two panels", () => {
  near(toShown.alpha_bar(0), 0.5);
  near(toShown.alpha_bar(Math.log(0.078587 / (1 - 0.078587))), 0.078587);
  for (const l of [-12, -1, 3]) near(fromShown.alpha_bar(toShown.alpha_bar(l)), l, 1e-6);
  assert.ok(Number.isFinite(fromShown.alpha_bar(0)) && Number.isFinite(fromShown.alpha_bar(1.5)));
  assert.equal(fromShown.log_snr(toShown.log_snr(-3)), -3);
});
