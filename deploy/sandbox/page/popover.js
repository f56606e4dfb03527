/** Something small that lies over the rest, beside what opened it: a menu, a picker, a list. */
import { h } from "./dom.js";
import { useLayoutEffect, useRef } from "./vendor/hooks.mjs";

const GAP_PX = 6;

/**
 * beside: gives the element that it belongs to.
 * kind: "auto" goes away by Escape and by a click elsewhere; "manual" stays until it is not drawn.
 * close: called when it has gone away by itself.
 */
export function Popover({ beside, kind = "auto", close, children, ...attributes }) {
  const box = useRef(null);
  useLayoutEffect(() => box.current.showPopover(), []);
  useLayoutEffect(() => put(box.current, beside()));
  const toggled = (event) => event.newState === "closed" && close?.();
  return h("div", { ...attributes, ref: box, popover: kind, onToggle: toggled }, children);
}

/** Above what it belongs to where there is room, else below; always within the window. */
function put(box, anchor) {
  const by = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = box;
  const above = by.top - height - GAP_PX;
  const top = above >= GAP_PX ? above : by.bottom + GAP_PX;
  const left = box.dataset.start === undefined ? by.right - width : by.left;
  box.style.top = `${within(top, innerHeight - height)}px`;
  box.style.left = `${within(left, innerWidth - width)}px`;
}

const within = (wish, most) => Math.max(GAP_PX, Math.min(wish, most - GAP_PX));
