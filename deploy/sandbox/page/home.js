/** A Home tab as a node. */
import { blocks } from "./blocks.js";
import { h } from "./dom.js";

/** The tab of a view; null: the app has not published one. */
export function home(view, names) {
  if (!view) return h("div", { class: "home empty" }, "The app has not shown anything here yet.");
  return h("div", { class: "home", "data-view-id": view.id }, ...blocks(view.blocks, names, view.state?.values));
}
