/** The drawings on buttons that have no words; their colour is that of the words around them. */
import { h } from "./dom.js";

const SHAPES = {
  bin: ["M3 5h12M7 5V3h4v2M5 5l.6 10h6.8L13 5M7.6 8v4.4M10.4 8v4.4"],
  face: ["M9 2a7 7 0 1 0 7 7", "M6.4 10.6a3 3 0 0 0 5.2 0", "M6.6 7v.6M11.4 7v.6", "M14.5 1v5M12 3.5h5"],
  more: ["M9 3.6v.8M9 8.6v.8M9 13.6v.8"],
  send: ["M2.5 2.6 16 9 2.5 15.4 4.6 9zM4.6 9H10"],
  thread: ["M3 3h12v9H8.5L5 15v-3H3z", "M6 6.4h6M6 8.8h4"],
};

/** A drawing by its name; what it means is said beside it. */
export function symbol(name) {
  return h(
    "svg",
    { viewBox: "0 0 18 18", class: `symbol symbol-${name}`, "aria-hidden": "true" },
    ...SHAPES[name].map((d) => h("path", { d })),
  );
}
