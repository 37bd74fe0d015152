/** Numbers, times and data as people read them. */

/** Three digits or so: 0, 7.5, 12, 1.2k, 34M. */
export function short(number) {
  for (const unit of ["", "k", "M", "G"]) {
    if (Math.abs(number) < 999.5 || unit === "G") {
      return (number > 0 && number < 9.95 ? number.toFixed(1) : number.toFixed(0)).replace(/\.0$/, "") + unit;
    }
    number /= 1000;
  }
  return String(number);
}

export function bytes(count) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (count < 1024 || unit === "GiB") return `${unit === "B" ? count : count.toFixed(1)} ${unit}`;
    count /= 1024;
  }
  return String(count);
}

export function duration(seconds) {
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = parts.findIndex(([, size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [[unit, size], next] = parts.slice(at, at + 2);
  const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${next[0]}` : ""}`;
}

export const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;

export const clock = (date = new Date()) =>
  `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, "0")}`;

/** The time, with the day where it is not today's. */
export function when(text) {
  const date = new Date(text);
  return date.toDateString() === new Date().toDateString() ? date.toLocaleTimeString() : date.toLocaleString();
}

const MOST_SHOWN = 2000;

/** Any JSON on one line, cut where nobody reads on. */
export function json(value) {
  const text = value === undefined ? "" : JSON.stringify(value);
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
}

export const size = (text) => new TextEncoder().encode(text).length;

/** The JSON that somebody wrote; nothing is no data. Throws an Error that says what is wrong. */
export function parseData(text) {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Data is not JSON: ${error.message}`);
  }
}
