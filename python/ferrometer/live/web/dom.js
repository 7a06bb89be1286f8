// Elements. Texts are only ever text: nothing here makes HTML of a string.

/** An element with properties, data and children; strings among the children become text. */
export function make(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, call] of Object.entries(value)) made.addEventListener(event, call);
    else if (name in made && name !== "role" && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Sets a text where it is another one, so that nothing is laid out anew without need. */
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** The element of the page with this id. */
export const by = (id) => document.getElementById(id);
