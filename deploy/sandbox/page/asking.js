/** A question before something that cannot be undone. */
import { h } from "./dom.js";
import { useLayoutEffect, useRef } from "./vendor/hooks.mjs";

/**
 * title, yes: what is asked, and the button that does it.
 * act: does it; close: called in any case.
 */
export function Asking({ title, yes, act, close, children }) {
  const box = useRef(null);
  useLayoutEffect(() => box.current.showModal(), []);
  const answered = () => {
    if (box.current.returnValue === "yes") act();
    close();
  };
  return h(
    "dialog",
    { ref: box, class: "modal asking", "aria-label": title, onClose: answered },
    h("header", {}, h("h2", {}, title)),
    h("div", { class: "asked" }, children),
    h(
      "footer",
      {},
      h("button", { type: "button", class: "button", autofocus: true, onClick: () => box.current.close() }, "Cancel"),
      h("button", { type: "button", class: "button sure", onClick: () => box.current.close("yes") }, yes),
    ),
  );
}
