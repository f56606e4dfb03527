import { h } from "./dom.js";

export function Drawer() {
  return h("div", { class: "drawer" });
}
