/** Slack's question before something is done, as a dialog of its own. */
import { h } from "./dom.js";
import { words } from "./elements.js";
import { textObject } from "./mrkdwn.js";
import { useLayoutEffect, useRef } from "./vendor/hooks.mjs";
import { render } from "./vendor/preact.mjs";

/**
 * Ask what a confirmation dialog object says; true when somebody agrees.
 *
 * https://docs.slack.dev/reference/block-kit/composition-objects/confirmation-dialog-object
 */
export function confirmed(object, names) {
  const place = document.createElement("div");
  document.body.append(place);
  return new Promise((resolve) => {
    // Back may lead to another person, who was not asked.
    const left = () => answered(false);
    const answered = (yes) => {
      removeEventListener("popstate", left);
      render(null, place);
      place.remove();
      resolve(yes);
    };
    addEventListener("popstate", left);
    render(h(Question, { object, names, answered }), place);
  });
}

function Question({ object, names, answered }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown.showModal();
    shown.querySelector(".agree").focus();
    return () => shown.close(); // which gives the focus back to the button
  }, []);
  const no = () => answered(false);
  const deny = object.deny ? words(object.deny) : ["Cancel"];
  const style = object.style === "danger" ? "danger" : "primary";
  return h(
    "dialog",
    {
      ref: dialog,
      class: "over asking",
      role: "alertdialog",
      "aria-labelledby": "asked-title",
      "aria-describedby": "asked-text",
      onCancel: (event) => (event.preventDefault(), no()),
    },
    h(
      "section",
      { class: "modal" },
      h(
        "header",
        {},
        h("h2", { id: "asked-title" }, ...words(object.title)),
        h("button", { type: "button", class: "close", "aria-label": "Close", onClick: no }, "✕"),
      ),
      h("div", { class: "form", id: "asked-text" }, ...textObject(object.text, names)),
      h(
        "footer",
        {},
        h("button", { type: "button", class: "button usual", onClick: no }, ...deny),
        h(
          "button",
          { type: "button", class: `button ${style} agree`, onClick: () => answered(true) },
          ...(object.confirm ? words(object.confirm) : ["Yes"]),
        ),
      ),
    ),
  );
}
