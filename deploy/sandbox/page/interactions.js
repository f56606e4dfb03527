/**
 * Presses and choices: one listener for all elements of all messages and views.
 *
 * An element names itself by `data-action-id` inside its block's `data-block-id`; a message is
 * `[data-channel][data-ts]`, a view `[data-view-id]`. What the app does about it comes back over the
 * page's socket.
 */
import { Refused, control } from "./api.js";
import { chosen, kept, reset } from "./input_values.js";
import { confirmed } from "./confirming.js";
import { toast } from "./toasts.js";

/** What Slack says of a view that could not be submitted. */
export const TROUBLE = "We had some trouble connecting. Try again?";
const SILENCE = "The app did not answer in time. Try again?";
const told = new WeakMap(); // input → what puts back what the app has last heard

/**
 * Listen for what people do beneath `root`.
 *
 * names: a function that says what ids are called by now.
 */
export function listen(root, names) {
  root.addEventListener("click", (event) => {
    const pressed = event.target.closest("button[data-action-id], a[data-action-id]");
    if (pressed) press(event, pressed, names());
  });
  root.addEventListener("change", (event) => {
    const field = event.target.closest("[data-action-id]");
    if (field && !/_input$/.test(field.dataset.kind)) change(field, names());
  });
  root.addEventListener("input", (event) => dispatch(event, "on_character_entered", names()));
  root.addEventListener("keydown", (event) => {
    if (event.key === "Enter") dispatch(event, "on_enter_pressed", names());
  });
}

/** What to say of an act that did not work; `late`: of one that the app was too slow for. */
export function trouble(error, late = SILENCE) {
  if (!(error instanceof Refused)) console.error(error);
  return error.code === "operation_timeout" ? late : TROUBLE;
}

async function press(event, pressed, names) {
  pressed.closest("[popover]")?.hidePopover();
  if (pressed.ariaBusy === "true") return event.preventDefault();
  const question = pressed.dataset.confirm;
  if (question && pressed.dataset.url) event.preventDefault();
  if (question && !(await confirmed(JSON.parse(question), names))) return;
  if (question && pressed.dataset.url) window.open(pressed.dataset.url, "_blank", "noopener,noreferrer");
  const dots = pressed.closest(".overflow")?.firstElementChild;
  if ((await tell(pressed, pressed.dataset.value ?? null, dots ?? pressed)) && pressed.closest(".feedback"))
    rate(pressed);
}

async function change(field, names) {
  if (field.closest("[data-silent]")) return;
  const question = field.dataset.confirm;
  if (question && !(await confirmed(JSON.parse(question), names)))
    return (told.get(field) ?? (() => reset(field)))();
  told.set(field, kept(field));
  await tell(field, chosen(field), field);
}

/** An input that tells while somebody types: at Enter, or at each character, as the app wants it. */
function dispatch(event, when, names) {
  const field = event.target.closest("[data-action-id]");
  if (!field || !/_input$/.test(field.dataset.kind) || field.closest("[data-silent]")) return;
  if (when === "on_enter_pressed" && (field.tagName === "TEXTAREA" || event.isComposing)) return;
  if (!(field.dataset.dispatch ?? "on_enter_pressed").split(" ").includes(when)) return;
  if (when === "on_enter_pressed") event.preventDefault(); // it is no submission
  change(field, names);
}

/** Send an act, and show that it is under way; whether the app has acknowledged it. */
async function tell(element, value, busy) {
  const place = placeOf(element);
  if (!place) return false;
  busy.ariaBusy = "true";
  try {
    const block_id = element.closest("[data-block-id]")?.dataset.blockId ?? null;
    await control("action", { ...place, action_id: element.dataset.actionId, block_id, value });
    return true;
  } catch (error) {
    toast(trouble(error));
    return false;
  } finally {
    busy.ariaBusy = null;
  }
}

function placeOf(element) {
  const { channel, ts, viewId } = element.closest("[data-view-id], [data-channel][data-ts]")?.dataset ?? {};
  if (viewId) return { view_id: viewId };
  return ts ? { channel, ts } : null;
}

/** Slack's client keeps the thumb that was pressed filled. */
function rate(pressed) {
  for (const thumb of pressed.closest(".feedback").children) thumb.ariaPressed = String(thumb === pressed);
}
