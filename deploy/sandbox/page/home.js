/** The app's Home tab. */
import { blocks } from "./blocks.js";
import { h } from "./dom.js";

/** What the app has published for whoever looks: `state.home`, or null. */
export function Home({ state, names }) {
  const view = state.home;
  if (!view) return h("div", { class: "home empty" }, "The app has not shown anything here yet.");
  return h(
    "div",
    { class: "home", key: view.id, "data-view-id": view.id },
    ...blocks(view.blocks, names, view.state?.values),
  );
}
