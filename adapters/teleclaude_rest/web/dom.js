// Small words for the document. Text goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** A new element; strings among the children become text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A button that does `action` when pressed. */
export function button(label, action, attributes = {}) {
  const made = element("button", {type: "button", ...attributes}, label);
  made.addEventListener("click", action);
  return made;
}

/** Set the text only when it changed, so that a screen reader is not told twice. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
