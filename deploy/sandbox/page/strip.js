import { h } from "./dom.js";

export function Strip() {
  return h("div", { class: "strip" });
}
