import { h } from "./dom.js";

export function Walk() {
  return h("div", { class: "walk" });
}
