import { h } from "./dom.js";

export function toast(error) {
  console.warn(error);
}

export function Toasts() {
  return h("div", { class: "toasts" });
}
