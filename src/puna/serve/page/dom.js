// Elements are made here and nowhere else: text becomes text nodes, never markup.

/** Find the element of an id. */
export const at = (id) => document.getElementById(id);

/** Make an element; an attribute that is null or false is left out, true stands without a value. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (value !== null && value !== false && value !== undefined) {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Make a button with a listener. */
export const button = (text, listener, attributes = {}) =>
  make("button", { type: "button", on: { click: listener }, ...attributes }, text);

const SVG = "http://www.w3.org/2000/svg";

/** Make an element of a picture. */
export function draw(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Show or hide, and tell which. */
export function show(element, shown = true) {
  element.hidden = !shown;
  return shown;
}
