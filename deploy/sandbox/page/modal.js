/** A modal as a node; what it holds is in `view.state`. */
import { blocks } from "./blocks.js";
import { h } from "./dom.js";
import { words } from "./elements.js";

/** The dialog of a view; `data-view-id`, and buttons of type submit and reset. */
export function modal(view, names) {
  return h(
    "form",
    { class: "modal", role: "dialog", "data-view-id": view.id },
    h(
      "header",
      {},
      h("img", { class: "avatar small", src: "/page/mynah.svg", alt: "" }),
      h("h2", {}, ...words(view.title)),
      h("button", { type: "reset", class: "close", "aria-label": "Close" }, "✕"),
    ),
    h("div", { class: "form" }, ...blocks(view.blocks, names, view.state?.values)),
    h(
      "footer",
      {},
      h("button", { type: "reset", class: "button usual" }, ...(view.close ? words(view.close) : ["Close"])),
      view.submit && h("button", { type: "submit", class: "button primary" }, ...words(view.submit)),
    ),
  );
}
