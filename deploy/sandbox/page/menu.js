/** A menu of things to do. https://www.w3.org/WAI/ARIA/apg/patterns/menubar/ */
import { ledTo } from "./arrows.js";
import { h } from "./dom.js";
import { Popover } from "./popover.js";
import { useLayoutEffect, useRef } from "./vendor/hooks.mjs";

/**
 * items: {name, act, danger} each; null draws a line.
 * beside, close: as for a popover.
 */
export function Menu({ label, items, beside, close }) {
  const list = useRef(null);
  const all = () => [...list.current.querySelectorAll("[role=menuitem]")];
  useLayoutEffect(() => all()[0].focus(), []);

  function keyed(event) {
    const to = ledTo(event.key, all(), document.activeElement);
    if (event.key === "Tab") close();
    if (!to) return;
    event.preventDefault();
    to.focus();
  }

  function choose(act) {
    list.current.parentElement.hidePopover(); // gives the focus back, before the act may take it
    act();
  }

  const entry = (item) =>
    item &&
    h(
      "button",
      {
        type: "button",
        role: "menuitem",
        tabindex: "-1",
        class: item.danger && "danger",
        onClick: () => choose(item.act),
      },
      item.name,
    );
  return h(
    Popover,
    { beside, close, class: "pop" },
    h(
      "div",
      { ref: list, class: "entries", role: "menu", "aria-label": label, onKeyDown: keyed },
      ...items.map((item) => entry(item) ?? h("hr", {})),
    ),
  );
}
