import assert from "node:assert/strict";
import { test } from "node:test";
import { putIn, readAddress, readIn, scheduleValues, settingsIn, writeAddress } from "../../assets/js/address.js";
import { part } from "./near.js";

const plain = { default: null, choices: [], low: null, high: null, most: null };
/** @type {LinkField} */
const number = { ...plain, kind: "number" };
/**
 * As ui/link.py makes it, of which tests/test_link.py tries all.
 * @type {LinkTable}
 */
const TABLE = {
  tab: { ...plain, kind: "choice", choices: ["forward", "loss"] },
  picture: { ...plain, kind: "text" },
  seed: { ...plain, kind: "whole", default: 0, low: 0, high: 2 ** 53 - 1 },
  t: { ...plain, kind: "whole", low: 0, high: 4000 },
  guidance: { ...number, default: 1, low: 0, high: 8 },
  open: { ...plain, kind: "words", default: [], choices: ["chain", "posterior"] },
  losses: { ...plain, kind: "words", default: ["simple"], choices: ["simple", "beta"] },
  pixel: { ...plain, kind: "wholes", low: 0, high: 255, most: 3 },
  pins: { ...plain, kind: "list", default: [], most: 6 },
  family: { ...plain, kind: "choice", choices: ["linear", "cosine", "drawn", "given"] },
  T: number,
  keep_shape_of: number,
  zero_terminal_snr: { ...plain, kind: "flag", default: false },
  points: { ...plain, kind: "list" },
  betas: { ...plain, kind: "text" },
  beta_1: number,
  beta_T: number,
  s: number,
};
const read = (/** @type {string} */ text, /** @type {string} */ name) => readIn(readAddress(text), name, TABLE);

/** @import { Settings } from "../../assets/js/schedules.js" */
/** @import { LinkField, LinkTable } from "../../assets/js/address.js" */

const FAMILIES = part({
  linear: { parameters: { beta_1: { default: 1e-4 }, beta_T: { default: 0.02 } } },
  cosine: { parameters: { s: { default: 0.008 } } },
});
const DEFAULTS = { family: "linear", T: 1000, params: { beta_1: 1e-4, beta_T: 0.02 }, keep_shape_of: null };

test("what is put in is read again, whatever its characters", () => {
  const said = readAddress("");
  putIn(said, { tab: "loss", picture: "a & b=#ü", seed: 3, t: null }, TABLE);
  const again = readAddress(writeAddress(said));
  assert.deepEqual([...again], [...said]);
  assert.equal(again.get("picture"), "a & b=#ü");
  assert.ok(!again.has("t"));
});

test("null takes a name out, and leaves the others as they are", () => {
  const said = readAddress("seed=3&unknown=kept");
  putIn(said, { seed: null }, TABLE);
  assert.equal(writeAddress(said), "unknown=kept");
});

test("numbers are read; what is none, or out of range, is as if it were not there", () => {
  assert.equal(read("t=300", "t"), 300);
  assert.equal(read("guidance=0.5", "guidance"), 0.5);
  for (const text of ["t=word", "t=", "t=1e999", "t=0.5", "t=-1", "t=4001", "t=0x10", "t=NaN", "half=0.5", ""])
    assert.equal(read(text, "t"), null);
  for (const text of ["guidance=8.1", "guidance=-0.1", "guidance=Infinity"]) assert.equal(read(text, "guidance"), 1);
});

test("of words those are read that there are; of numbers all or none", () => {
  assert.deepEqual(read("open=chain+saving", "open"), ["chain"]);
  assert.deepEqual(read("losses=", "losses"), []); // none, which is not what holds without
  assert.deepEqual(read("", "losses"), ["simple"]);
  assert.deepEqual(read("pixel=40+10+1", "pixel"), [40, 10, 1]);
  for (const text of ["pixel=40+10", "pixel=40+10+x", "pixel=40+10+256", "pixel=40+10+1+1"])
    assert.equal(read(text, "pixel"), null);
});

test("a name that is not in the table can be neither put in nor read", () => {
  assert.throws(() => putIn(readAddress(""), { sead: 3 }, TABLE), /cannot hold sead/);
  assert.throws(() => read("sead=3", "sead"), /cannot hold sead/);
  assert.throws(() => read("", "toString"), /cannot hold toString/);
});

test("what holds without a link is not put in, nor what could not be read again", () => {
  const said = readAddress("guidance=3&seed=5&losses=beta");
  putIn(said, { guidance: 1, seed: "many", losses: ["simple"], t: 9000 }, TABLE);
  assert.equal(writeAddress(said), "");
  putIn(said, { losses: [], open: ["chain", "posterior"], zero_terminal_snr: true }, TABLE);
  assert.equal(writeAddress(said), "losses=&open=chain+posterior&zero_terminal_snr=1");
  assert.throws(() => putIn(said, { family: "cubic" }, TABLE), /family cannot be cubic/);
});

test("a link with the title of a tab opens that tab", () => {
  assert.equal(read("tab=Forward", "tab"), "forward");
  assert.equal(read("tab=loss", "tab"), "loss");
  assert.equal(read("t=3", "tab"), null);
});

test("a schedule is read with the family's parameters, and defaults where the link says none", () => {
  const said = readAddress("family=linear&T=500&beta_T=0.03&s=9&keep_shape_of=1000&zero_terminal_snr=1");
  assert.deepEqual(settingsIn(said, FAMILIES, DEFAULTS, TABLE), {
    family: "linear",
    T: 500,
    params: { beta_1: 1e-4, beta_T: 0.03 },
    keep_shape_of: 1000,
    zero_terminal_snr: true,
  });
  assert.deepEqual(DEFAULTS.params, { beta_1: 1e-4, beta_T: 0.02 });
});

test("a broken number leaves the default", () => {
  const settings = settingsIn(readAddress("family=cosine&T=many&s=x"), FAMILIES, DEFAULTS, TABLE);
  assert.equal(settings?.T, 1000);
  assert.deepEqual(settings?.params, { s: 0.008 });
  assert.equal(settings?.zero_terminal_snr, false);
});

test("no family, or one that there is not, is no schedule", () => {
  assert.equal(settingsIn(readAddress("T=500"), FAMILIES, DEFAULTS, TABLE), null);
  assert.equal(settingsIn(readAddress("family=cubic"), FAMILIES, DEFAULTS, TABLE), null);
});

test("a drawn schedule has its points, a given one its betas", () => {
  const drawn = settingsIn(readAddress("family=drawn&points=[[0,5],[1,-9]]&betas=x"), FAMILIES, DEFAULTS, TABLE);
  assert.ok(drawn);
  assert.deepEqual(drawn.points, [
    [0, 5],
    [1, -9],
  ]);
  assert.ok(!("betas" in drawn));
  const given = settingsIn(readAddress("family=given&betas=AAAA"), FAMILIES, DEFAULTS, TABLE);
  assert.equal(given?.betas, "AAAA");
  assert.equal(settingsIn(readAddress("family=drawn&points=[[0,"), FAMILIES, DEFAULTS, TABLE)?.points, null);
});

test("what is put in of a schedule is read as the same schedule", () => {
  /** @type {Settings[]} */
  const all = [
    { family: "linear", T: 250, params: { beta_1: 2e-4, beta_T: 0.05 }, keep_shape_of: 1000, zero_terminal_snr: true },
    { family: "cosine", T: 1000, params: { s: 0.02 }, keep_shape_of: null, zero_terminal_snr: false },
    {
      family: "drawn",
      T: 40,
      params: {},
      keep_shape_of: null,
      zero_terminal_snr: false,
      points: [
        [0, 5],
        [1, -5],
      ],
    },
    { family: "given", T: 3, params: {}, keep_shape_of: null, zero_terminal_snr: false, betas: "AAAA/+==" },
  ];
  const said = readAddress("tab=loss"); // one link, changed again and again: nothing of the last schedule stays
  for (const settings of all) {
    putIn(said, scheduleValues(settings, FAMILIES), TABLE);
    const again = readAddress(writeAddress(said));
    assert.deepEqual(settingsIn(again, FAMILIES, DEFAULTS, TABLE), settings);
    assert.equal(again.get("tab"), "loss");
    const stale = ["beta_1", "beta_T", "s"].filter((name) => !(name in settings.params) && again.has(name));
    assert.deepEqual(stale, []);
  }
});

test("pins are read as they were put in; broken ones are none", () => {
  const settings = [{ family: "cosine", T: 10, params: { s: 0.1 } }];
  const said = readAddress("");
  putIn(said, { pins: settings }, TABLE);
  assert.deepEqual(read(writeAddress(said), "pins"), settings);
  putIn(said, { pins: [] }, TABLE);
  assert.ok(!said.has("pins"));
  for (const text of ["pins=[{", "pins={}", "pins=7", "", `pins=${JSON.stringify(new Array(7).fill({}))}`])
    assert.deepEqual(read(text, "pins"), []);
});
