/** The face of somebody: a picture for the app, initials for people. */
import { h } from "./dom.js";

/** size: "", "small" or "tiny". */
export function avatar(id, names, size = "") {
  const who = names.person(id);
  if (who?.is_bot) return h("img", { class: `avatar ${size}`, src: "/page/mynah.svg", alt: "" });
  const shown = names.user(id);
  const initials = shown
    .split(/[\s._-]+/)
    .filter(Boolean)
    .slice(0, 2)
    .map((word) => word[0].toUpperCase());
  return h("span", { class: `avatar ${size} hue-${hue(id)}`, "aria-hidden": "true" }, initials.join(""));
}

/** Which of the six colours somebody has. */
export function hue(id) {
  return [...id].reduce((sum, letter) => (sum * 33 + letter.codePointAt(0)) % 1013, 7) % 6;
}
