/** Elements, made so that no text can ever become markup. Nothing else speaks to Preact's `h`. */
import { to } from "./route.js";
import { Fragment, h as made } from "./vendor/preact.mjs";

export { Fragment };

/** Addresses that may be followed. */
export const LINKED = /^(?:https?|mailto|tel):/i;

/**
 * An element, or a component: `tag` is a name or a function of properties.
 *
 * Children are elements, or strings that become text; what is null or false is left out.
 * Attributes that are null, undefined or false are left out, too: `aria-…` and `data-…` as well.
 */
export function h(tag, attributes, ...children) {
  if (typeof tag === "function") return made(tag, attributes, ...children);
  const given = Object.entries(attributes ?? {}).filter(
    ([, value]) => value !== null && value !== undefined && value !== false,
  );
  return made(
    tag,
    Object.fromEntries(given.map(([name, value]) => [name, worded(name, value)])),
    ...children,
  );
}

// What `chat.getPermalink` gives: as in Slack's client, such a link leads to the message here.
const PERMALINK =
  /^https:\/\/[\w-]+-sandbox\.slack\.com\/archives\/(\w+)\/p(\d+)(\d{6})(?:\?thread_ts=([\d.]+))?/;

/** A link that opens elsewhere; an address that is none of the web's stays text. */
export function link(url, ...label) {
  const [, channel, seconds, rest, thread] = PERMALINK.exec(url) ?? [];
  if (channel) return h("a", to({ channel, thread: thread ?? `${seconds}.${rest}`, tab: "" }), ...label);
  if (!LINKED.test(url)) return h("span", {}, ...label);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, ...label);
}

/** What is so is "true" to a screen reader, and an empty attribute to a style. */
function worded(name, value) {
  if (value !== true) return value;
  if (name.startsWith("aria-")) return "true";
  return name.startsWith("data-") ? "" : true;
}
