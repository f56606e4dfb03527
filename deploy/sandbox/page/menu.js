/** A menu of things to do. https://www.w3.org/WAI/ARIA/apg/patterns/menubar/ */
import { h } from "./dom.js";
import { Popover } from "./popover.js";
import { useLayoutEffect, useRef } from "./vendor/hooks.mjs";

const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/**
 * items: {name, act, danger} each; null draws a line.
 * beside, close: as for a popover.
 */
export function Menu({ label, items, beside, close }) {
  const list = useRef(null);
  const all = () => [...list.current.querySelectorAll("[role=menuitem]")];
  useLayoutEffect(() => all()[0].focus(), []);

  function keyed(event) {
    const found = all();
    const at = found.indexOf(document.activeElement);
    const to = { Home: 0, End: found.length - 1, ...(event.key in STEPS && { [event.key]: at + STEPS[event.key] }) }[event.key];
    if (event.key === "Tab") close();
    if (to === undefined) return;
    event.preventDefault();
    found.at(to % found.length).focus();
  }

  function choose(act) {
    list.current.parentElement.hidePopover(); // gives the focus back, before the act may take it
    act();
  }

  const entry = (item) => item && h("button", { type: "button", role: "menuitem", tabindex: "-1", class: item.danger && "danger", onClick: () => choose(item.act) }, item.name);
  return h(
    Popover,
    { beside, close, class: "pop" },
    h("div", { ref: list, class: "entries", role: "menu", "aria-label": label, onKeyDown: keyed }, ...items.map((item) => entry(item) ?? h("hr", {}))),
  );
}
