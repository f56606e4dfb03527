/** Who one is, and becoming somebody else. */
import { h } from "./dom.js";
import { to } from "./places.js";

/** The switcher. */
export function Personas({ state, names, place }) {
  return h("div", { class: "personas" }, ...state.personas.map(({ name, id }) => h("a", { key: id, "aria-current": place.as === name ? "true" : null, ...to({ as: name, thread: "" }) }, names.user(id))));
}
