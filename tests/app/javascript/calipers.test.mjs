// Calipers stay at right angles whichever end is pulled.
import assert from "node:assert/strict";
import { test } from "node:test";
import { length, moveEnd, nearest, product } from "../../../app/components/modules/calipers.js";
import { Measures } from "../../../app/components/modules/measures.js";

const cross = () => ({
  longest: [[0, 0, 5], [40, 0, 5]],
  perpendicular: [[10, -8, 5], [10, 12, 5]],
});
const rightAngle = ({ longest, perpendicular }) => {
  const [u, v] = [longest, perpendicular].map(([a, b]) => b.map((x, n) => x - a[n]));
  return Math.abs(u.reduce((sum, x, n) => sum + x * v[n], 0)) < 1e-9;
};

test("a line is as long as it is", () => {
  assert.equal(length([[0, 0, 0], [3, 4, 12]]), 13);
  assert.equal(product(cross()), 800);
});

test("the second diameter turns with the first and keeps its length and middle", () => {
  const moved = moveEnd(cross(), "longest", 1, [30, 30, 5]);
  assert.deepEqual(moved.longest, [[0, 0, 5], [30, 30, 5]]);
  assert.ok(rightAngle(moved));
  assert.ok(Math.abs(length(moved.perpendicular) - 20) < 1e-9);
  const middle = moved.perpendicular[0].map((v, n) => (v + moved.perpendicular[1][n]) / 2);
  assert.deepEqual(middle.map((v) => Math.round(v * 1e9) / 1e9), [10, 2, 5]);
});

test("the second diameter slides along the first and is as long as it is pulled", () => {
  const moved = moveEnd(cross(), "perpendicular", 1, [25, 6, 5]);
  assert.deepEqual(moved.perpendicular, [[25, -8, 5], [25, 6, 5]]);
  assert.ok(rightAngle(moved));
  assert.deepEqual(moved.longest, cross().longest);
});

test("the longer one is the longest, and nothing becomes a point", () => {
  const swapped = moveEnd(cross(), "perpendicular", 1, [10, 60, 5]);
  assert.equal(length(swapped.longest), 68);
  assert.equal(length(swapped.perpendicular), 40);
  assert.deepEqual(moveEnd(cross(), "longest", 1, [0, 0, 5]), cross());
  assert.deepEqual(moveEnd(cross(), "perpendicular", 1, [10, -8, 5]), cross());
});

test("the nearest handle within reach is taken", () => {
  const handles = [{ id: "a", end: 0, at: [10, 10] }, { id: "b", end: 1, at: [14, 10] }];
  assert.equal(nearest(handles, [13, 11]).id, "b");
  assert.equal(nearest(handles, [40, 40]), null);
});

test("lines on an older reading lie over those of the latest, and none is lost", () => {
  const measures = new Measures({}, { nv: null });
  const line = (x) => [[0, 0, 0], [x, 0, 0]];
  measures.load({ lesions: [], distances: [{ name: "D1", line: line(5) }], readings: 2 });
  measures.putOver({ byHand: {}, distances: [{ name: "D1", line: line(9) }, { name: "D2", line: line(5) }] });
  assert.deepEqual(measures.lines.distances, [{ name: "D1", line: line(5) }, { name: "D2", line: line(9) }]);
});
