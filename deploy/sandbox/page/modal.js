/** The modals in front of somebody: the app's views, one on another, of which the last is seen. */
import { TROUBLE, trouble } from "./interactions.js";
import { control } from "./api.js";
import { blocks } from "./blocks.js";
import { chosen } from "./input_values.js";
import { h } from "./dom.js";
import { words } from "./elements.js";
import { Toasts, toast } from "./toasts.js";
import { useLayoutEffect, useRef, useState } from "./vendor/hooks.mjs";

const MOST = 3000; // characters of a text whose input names no limit

/** `state.modals`, the front last: one dialog for all of them, so what is typed below stays. */
export function Modals({ state, names }) {
  const stack = state.modals ?? [];
  return stack.length ? h(Stack, { key: stack[0].id, stack, names }) : null;
}

function Stack({ stack, names }) {
  const dialog = useRef(null);
  const front = stack.at(-1);
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown.showModal();
    return () => {
      shown.close(); // which gives the focus back to what was pressed, where that is still there
      if (document.activeElement === document.body) document.querySelector("#reply, #composer")?.focus();
    };
  }, []);
  useLayoutEffect(() => enter(dialog.current.querySelector("form:not([hidden])")), [front.id]);
  // Escape is one step back, and is left to a menu that is open; the dialog itself goes with its view.
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || event.currentTarget.querySelector(":popover-open")) return;
    event.preventDefault();
    close(front);
  };
  return h(
    "dialog",
    {
      ref: dialog,
      class: "over",
      "aria-labelledby": `title-${front.id}`,
      onKeyDown,
      onCancel: (event) => event.preventDefault(),
    },
    // In a section a header and a footer are its own, and none of the page's landmarks.
    h(
      "section",
      {},
      ...stack.map((view) =>
        h(View, { key: view.id, view, below: view !== front, first: view === stack[0], names }),
      ),
    ),
    h(Toasts),
  );
}

/** One view as a form. */
function View({ view, below, first, names }) {
  const [errors, setErrors] = useState({});
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState("");
  const [refused, setRefused] = useState(0); // how often; the focus goes to what is wrong once each time
  const form = useRef(null);

  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    const values = valuesOf(form.current);
    setFailed("");
    if (tellErrors(errorsOf(view, values))) return;
    setBusy(true);
    try {
      tellErrors((await control("submit", { view_id: view.id, values })).errors ?? {});
    } catch (error) {
      setFailed(trouble(error, TROUBLE));
    }
    setBusy(false);
  }

  function tellErrors(found) {
    const any = Object.keys(found).length > 0;
    setErrors(found);
    if (any) setRefused((times) => times + 1);
    return any;
  }

  useLayoutEffect(() => {
    const block = form.current.querySelector(".wrong")?.closest(".input");
    block?.querySelector("input, select, textarea")?.focus();
  }, [refused]);

  // What somebody mends is not wrong any more before it is submitted again.
  const mended = (event) => {
    const id = event.target.closest("[data-block-id]")?.dataset.blockId;
    if (id in errors) setErrors(Object.fromEntries(Object.entries(errors).filter(([block]) => block !== id)));
  };
  return h(
    "form",
    {
      ref: form,
      class: "modal",
      hidden: below,
      noValidate: true,
      "data-view-id": view.id,
      "aria-busy": busy,
      onSubmit: submit,
      onInput: mended,
    },
    head(view, first),
    h("div", { class: "form" }, ...blocks(view.blocks, names, view.state?.values, errors)),
    failed && h("p", { class: "failed", role: "alert" }, failed),
    foot(view, busy),
  );
}

function head(view, first) {
  const back = h(
    "button",
    { type: "button", class: "close back", "aria-label": "Back", onClick: () => close(view) },
    "←",
  );
  return h(
    "header",
    {},
    first ? h("img", { class: "avatar small", src: "/page/mynah.svg", alt: "" }) : back,
    h("h2", { id: `title-${view.id}` }, ...words(view.title)),
    h(
      "button",
      { type: "button", class: "close", "aria-label": "Close", onClick: () => close(view, { whole: true }) },
      "✕",
    ),
  );
}

function foot(view, busy) {
  const leave = () => close(view);
  return h(
    "footer",
    {},
    h(
      "button",
      { type: "button", class: "button usual", onClick: leave },
      ...(view.close ? words(view.close) : [view.submit ? "Cancel" : "Close"]),
    ),
    view.submit &&
      h("button", { type: "submit", class: "button primary", "aria-busy": busy }, ...words(view.submit)),
  );
}

/** Close the view in front, with `whole` those below it as well; the state then says that it is gone. */
async function close(view, { whole = false } = {}) {
  try {
    const { view: next } = await control("close", { view_id: view.id });
    if (whole && next) await close(next, { whole });
  } catch (error) {
    toast(trouble(error));
  }
}

/** Put the focus where somebody goes on: the field that wants it, else the first, else a button. */
function enter(form) {
  const wanted = ["[autofocus]", ".form :is(.field, input)", ".form .button", "footer .button:last-child"];
  wanted
    .map((one) => form.querySelector(one))
    .find(Boolean)
    ?.focus();
}

/** What the inputs of a view hold, by block id. */
function valuesOf(form) {
  const inputs = [...form.querySelectorAll(".of-input")];
  const fields = inputs.map((block) => [block.dataset.blockId, block.querySelector("[data-action-id]")]);
  return Object.fromEntries(fields.filter(([, field]) => field).map(([id, field]) => [id, chosen(field)]));
}

/** What Slack's client finds wrong before it sends anything, by block id. */
function errorsOf(view, values) {
  const asked = view.blocks.filter((block) => block.type === "input" && block.block_id in values);
  const found = asked.map((block) => [block.block_id, errorOf(block, values[block.block_id])]);
  return Object.fromEntries(found.filter(([, error]) => error));
}

function errorOf({ element: input, optional }, value) {
  if (value === null || value.length === 0) return optional ? "" : "Please complete this required field.";
  if (typeof value !== "string" || !/_input$/.test(input.type)) return "";
  const length = [...value].length;
  const [least, most] = [input.min_length ?? 0, input.max_length ?? MOST];
  if (length < least) return `Please enter at least ${counted(least)}.`;
  return length > most ? `Please enter no more than ${counted(most)}. This has ${length}.` : "";
}

function counted(count) {
  return `${count.toLocaleString("en")} ${count === 1 ? "character" : "characters"}`;
}
