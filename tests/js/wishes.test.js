import assert from "node:assert/strict";
import { test } from "node:test";
import { agreed, find, implied, labelOf, spaced } from "../../assets/js/wishes.js";

const words = { turn: "all in turn", any: "any" };
const both = [words.turn, words.any];
const LISTS = [
  { name: "concept", values: ["fox", "red-heart", "family"], choices: both, pictures: [] },
  { name: "kind", values: ["animal", "symbol"], choices: both, pictures: [] },
  { name: "style", values: ["noto", "openmoji"], choices: both, pictures: [] },
];
const FOLLOWS = { kind: [0, 1, 0] };
const start = { concept: words.turn, kind: words.any, style: words.any };
const choose = (/** @type {Record<string, string>} */ now, /** @type {string} */ name, /** @type {string} */ value) =>
  agreed(LISTS, FOLLOWS, { ...now, [name]: value }, name, words);

test("a few letters find names, the nearest first", () => {
  const names = ["fog", "red-fox", "fox", "foxglove", "box-for", "pizza"];
  assert.deepEqual(find(names, "fox"), ["fox", "foxglove", "red-fox"]);
  assert.deepEqual(find(names, " FO"), ["fog", "fox", "foxglove", "red-fox", "box-for"]);
  assert.deepEqual(find(names, "red fox"), ["red-fox"]);
  assert.deepEqual(find(names, "  "), names);
  assert.deepEqual(find(names, "["), []);
  assert.equal(spaced("red-fox"), "red fox");
});

test("the label says all that is chosen, and nothing else", () => {
  assert.equal(labelOf(LISTS, start, words), words.turn);
  assert.equal(labelOf(LISTS, { ...start, style: "noto" }, words), "concept=all in turn, style=noto");
  assert.equal(
    labelOf(LISTS, { concept: "fox", kind: "any", style: "all in turn" }, words),
    "concept=fox, style=all in turn",
  );
  assert.equal(labelOf(LISTS, { concept: "any", kind: "any", style: "any" }, words), "concept=any");
  const classes = [{ name: "class", values: ["0", "1"], choices: [words.turn], pictures: [] }];
  assert.equal(labelOf(classes, { class: "1" }, words), "1");
});

test("what follows from a thing is said, and not asked for", () => {
  const fox = choose({ ...start, kind: "symbol" }, "concept", "fox");
  assert.deepEqual(fox, { concept: "fox", kind: "any", style: "any" });
  assert.deepEqual(implied(LISTS, FOLLOWS, fox), { kind: "animal" });
  assert.deepEqual(implied(LISTS, FOLLOWS, start), {});
  assert.deepEqual(choose(start, "kind", "symbol"), { ...start, kind: "symbol" });
});

test("of a thing and its kind one at most is taken in turn", () => {
  const kinds = choose(start, "kind", words.turn);
  assert.deepEqual(kinds, { concept: "any", kind: "all in turn", style: "any" });
  assert.deepEqual(choose(kinds, "concept", words.turn), start);
});
