// Share done and PU over time, as two small lines in one picture.

import { h, s } from "./dom";
import { hour, percent, units } from "./words";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [640, 170, 44, 52, 12, 24];
type Point = [number, number | null, number | null];

export function chart(course: Point[], budget: number | null): HTMLElement | null {
  const first = course[0];
  const last = course[course.length - 1];
  if (course.length < 2 || !first || !last || last[0] <= first[0]) return null;
  const dearest = Math.max(...course.map((point) => point[2] ?? 0), 0);
  const top = budget && budget < dearest * 3 ? Math.max(budget, dearest) : dearest;
  const x = (at: number) => LEFT + ((at - first[0]) / (last[0] - first[0])) * (WIDTH - LEFT - RIGHT);
  const y = (part: number) => HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM);
  const line = (index: 1 | 2, whole: number) =>
    course
      .filter((point) => point[index] != null)
      .map((point) => `${x(point[0]).toFixed(1)},${y(point[index]! / whole).toFixed(1)}`)
      .join(" ");
  const hasShare = course.some((point) => point[1] != null);
  const hasCost = top > 0;
  if (!hasShare && !hasCost) return null;
  const said = `From ${hour(first[0])} to ${hour(last[0])}: ${percent(last[1])} done, ${units(last[2])} PU.`;
  const picture = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said, class: "chart" });
  for (const part of [0, 0.5, 1]) {
    picture.append(s("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(part), y2: y(part), class: "rule" }));
    if (hasShare) picture.append(s("text", { x: LEFT - 8, y: y(part) + 4, class: "left share" }, `${part * 100}%`));
    if (hasCost) picture.append(s("text", { x: WIDTH - RIGHT + 8, y: y(part) + 4, class: "cost" }, units(top * part)));
  }
  if (budget && hasCost && budget <= top) {
    picture.append(s("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(budget / top), y2: y(budget / top), class: "budget" }));
  }
  if (hasShare) picture.append(s("polyline", { points: line(1, 1), class: "share" }));
  if (hasCost) picture.append(s("polyline", { points: line(2, top), class: "cost" }));
  picture.append(s("text", { x: LEFT, y: HEIGHT - 6 }, hour(first[0])));
  picture.append(s("text", { x: WIDTH - RIGHT, y: HEIGHT - 6, class: "left" }, hour(last[0])));
  return h(
    "figure", { class: "course" }, picture,
    h("figcaption", {}, hasShare && h("span", { class: "key share" }, "share done"), hasCost && h("span", { class: "key cost" }, "processing units"), budget !== null && budget <= top && h("span", { class: "key budget" }, "budget")),
  );
}
