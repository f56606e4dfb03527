/** Elements, made so that no text can ever become markup. */

/** Addresses that may be followed. */
export const LINKED = /^(?:https?|mailto|tel):/i;

/**
 * An element. Children are nodes, or strings that become text; what is null or false is left out.
 * Attributes that are null, undefined or false are left out, too.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A link that opens elsewhere; an address that is none of the web's stays text. */
export function link(url, ...label) {
  if (!LINKED.test(url)) return h("span", {}, ...label);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, ...label);
}
