import assert from "node:assert/strict";
import { test } from "node:test";
import {
  numberIn,
  pinsIn,
  pinsText,
  putIn,
  readAddress,
  scheduleValues,
  settingsIn,
  tabIn,
  writeAddress,
} from "../../assets/js/address.js";
import { part } from "./near.js";

/** @import { Settings } from "../../assets/js/schedules.js" */

const FAMILIES = part({
  linear: { parameters: { beta_1: { default: 1e-4 }, beta_T: { default: 0.02 } } },
  cosine: { parameters: { s: { default: 0.008 } } },
});
const DEFAULTS = { family: "linear", T: 1000, params: { beta_1: 1e-4, beta_T: 0.02 }, keep_shape_of: null };

test("what is put in is read again, whatever its characters", () => {
  const said = readAddress("");
  putIn(said, { tab: "loss", picture: "a & b=#ü", seed: 3, none: null });
  const again = readAddress(writeAddress(said));
  assert.deepEqual([...again], [...said]);
  assert.equal(again.get("picture"), "a & b=#ü");
  assert.ok(!again.has("none"));
});

test("null takes a name out, and leaves the others as they are", () => {
  const said = readAddress("seed=3&unknown=kept");
  putIn(said, { seed: null });
  assert.equal(writeAddress(said), "unknown=kept");
});

test("numbers are read; what is none is null", () => {
  const said = readAddress("t=300&half=0.5&word=many&empty=&huge=1e999");
  assert.equal(numberIn(said, "t"), 300);
  assert.equal(numberIn(said, "half"), 0.5);
  for (const name of ["word", "empty", "huge", "missing"]) assert.equal(numberIn(said, name), null);
});

test("a link with the title of a tab opens that tab", () => {
  assert.equal(tabIn(readAddress("tab=Forward")), "forward");
  assert.equal(tabIn(readAddress("tab=loss")), "loss");
  assert.equal(tabIn(readAddress("t=3")), undefined);
});

test("a schedule is read with the family's parameters, and defaults where the link says none", () => {
  const said = readAddress("family=linear&T=500&beta_T=0.03&s=9&keep_shape_of=1000&zero_terminal_snr=1");
  assert.deepEqual(settingsIn(said, FAMILIES, DEFAULTS), {
    family: "linear",
    T: 500,
    params: { beta_1: 1e-4, beta_T: 0.03 },
    keep_shape_of: 1000,
    zero_terminal_snr: true,
  });
  assert.deepEqual(DEFAULTS.params, { beta_1: 1e-4, beta_T: 0.02 });
});

test("a broken number leaves the default", () => {
  const settings = settingsIn(readAddress("family=cosine&T=many&s=x"), FAMILIES, DEFAULTS);
  assert.equal(settings?.T, 1000);
  assert.deepEqual(settings?.params, { s: 0.008 });
  assert.equal(settings?.zero_terminal_snr, false);
});

test("no family, or one that there is not, is no schedule", () => {
  assert.equal(settingsIn(readAddress("T=500"), FAMILIES, DEFAULTS), null);
  assert.equal(settingsIn(readAddress("family=cubic"), FAMILIES, DEFAULTS), null);
});

test("a drawn schedule has its points, a given one its betas", () => {
  const drawn = settingsIn(readAddress("family=drawn&points=[[0,5],[1,-9]]&betas=x"), FAMILIES, DEFAULTS);
  assert.ok(drawn);
  assert.deepEqual(drawn.points, [
    [0, 5],
    [1, -9],
  ]);
  assert.ok(!("betas" in drawn));
  const given = settingsIn(readAddress("family=given&betas=AAAA"), FAMILIES, DEFAULTS);
  assert.equal(given?.betas, "AAAA");
  assert.equal(settingsIn(readAddress("family=drawn&points=[[0,"), FAMILIES, DEFAULTS)?.points, null);
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
    putIn(said, scheduleValues(settings, FAMILIES));
    const again = readAddress(writeAddress(said));
    assert.deepEqual(settingsIn(again, FAMILIES, DEFAULTS), settings);
    assert.equal(again.get("tab"), "loss");
    const stale = ["beta_1", "beta_T", "s"].filter((name) => !(name in settings.params) && again.has(name));
    assert.deepEqual(stale, []);
  }
});

test("pins are read as they were put in; broken ones are none", () => {
  const settings = [{ family: "cosine", T: 10, params: { s: 0.1 } }];
  const said = readAddress("");
  putIn(said, { pins: pinsText(part(settings.map((one) => ({ settings: one })))) });
  assert.deepEqual(pinsIn(readAddress(writeAddress(said))), settings);
  assert.equal(pinsText([]), null);
  for (const text of ["pins=[{", "pins={}", "pins=7", ""]) assert.deepEqual(pinsIn(readAddress(text)), []);
});
