/** Elements from words. Whatever comes from the gateway becomes text, never markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An element; attributes that are functions listen, true and false are there or not; children that are null are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A name that somebody chose: it cannot turn the direction of what stands around it. */
export const named = (text) => h("bdi", {}, text);

let hints = 0;

/** An input with its label, and what is to be known of it. */
export function field(label, input, hint = null) {
  const told = hint && h("small", { class: "hint", id: `hint-${++hints}` }, hint);
  if (told) input.setAttribute("aria-describedby", told.id);
  return h("div", { class: "field" }, h("label", {}, h("span", {}, label), input), told);
}

export const button = (label, onclick, attributes = {}) => h("button", { type: "button", onclick, ...attributes }, label);

/** A table whose cells know their column's name, so that a narrow screen can show each row as a card. */
export function table(label, columns, rows) {
  const head = h("tr", {}, columns.map((one) => h("th", { scope: "col" }, one)));
  const body = rows.map((cells) =>
    h("tr", {}, cells.map((cell, at) => h("td", { "data-label": columns[at] }, h("div", {}, cell)))),
  );
  return h("table", { "aria-label": label }, h("thead", {}, head), h("tbody", {}, body));
}

/** Replace what is in `parent`. */
export function show(parent, ...children) {
  parent.replaceChildren(...flat(children));
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...flat(children));
  return element;
}

const flat = (children) =>
  children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false);
