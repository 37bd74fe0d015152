/** A line of the last minutes, drawn in SVG. */

import { svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 48;

/** `values` of the last `length` intervals, the newest at the right; young ones leave the left free. */
export function line(values, length) {
  const most = Math.max(...values, 0) || 1;
  const step = WIDTH / Math.max(1, length - 1);
  const x = (at) => (WIDTH - (values.length - 1 - at) * step).toFixed(1);
  const y = (value) => (HEIGHT - 2 - (value / most) * (HEIGHT - 6)).toFixed(1);
  const points = values.map((value, at) => `${x(at)},${y(value)}`);
  const area = [`${x(0)},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`];
  return svg(
    "svg",
    { class: "line", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polygon", { points: area.join(" ") }),
    svg("polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" }),
  );
}
