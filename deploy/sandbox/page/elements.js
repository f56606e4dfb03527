/**
 * Buttons, menus and inputs as nodes. https://docs.slack.dev/reference/block-kit/block-elements
 *
 * They do nothing by themselves. Each carries `data-action-id` and, where it has one, `data-value`,
 * inside its block's `data-block-id`: whoever wants presses listens for clicks and reads these.
 */
import { h } from "./dom.js";
import { textObject, withEmoji } from "./mrkdwn.js";

const KINDS = {
  button,
  workflow_button: button,
  icon_button: (element, names) => button({ ...element, style: "plain" }, names),
  feedback_buttons: feedback,
  overflow,
  image: picture,
  radio_buttons: (element, names, held) => choices("radio", element, names, [held?.selected_option ?? element.initial_option]),
  checkboxes: (element, names, held) => choices("checkbox", element, names, held?.selected_options ?? element.initial_options),
  plain_text_input: typed,
  email_text_input: (element, names, held) => typed(element, names, held, "email"),
  url_text_input: (element, names, held) => typed(element, names, held, "url"),
  number_input: (element, names, held) => typed(element, names, held, "number"),
  datepicker: (element, names, held) => typed({ ...element, initial_value: element.initial_date }, names, { value: held?.selected_date }, "date"),
  timepicker: (element, names, held) => typed({ ...element, initial_value: element.initial_time }, names, { value: held?.selected_time }, "time"),
};

/**
 * An element of a block.
 *
 * held: what it holds by now, as a view's state tells it.
 */
export function element(one, names, held) {
  if (one.type === "mrkdwn" || one.type === "plain_text")
    return h("span", {}, ...textObject(one, names));
  if (/_select$/.test(one.type)) return menu(one, names, held);
  return KINDS[one.type]?.(one, names, held) ?? h("span", { class: "unknown" }, `(${one.type})`);
}

/** A picture of ours, by its file; one from elsewhere is named, and never fetched. */
export function picture(one, names) {
  const file = one.slack_file?.id ?? /\/files\/(\w+)\//.exec(one.slack_file?.url ?? one.image_url ?? "")?.[1];
  const alt = one.alt_text ?? "";
  if (!file) return h("span", { class: "unknown", title: one.image_url }, alt);
  return h("img", { src: names.file(file), alt });
}

function button(one, names) {
  const kind = ["primary", "danger", "plain"].includes(one.style) ? one.style : "usual";
  return h(
    "button",
    {
      type: "button",
      class: `button ${kind}`,
      "data-action-id": one.action_id,
      "data-value": one.value,
      "data-url": one.url,
      "data-confirm": one.confirm ? JSON.stringify(one.confirm) : null,
      "aria-label": one.accessibility_label,
    },
    ...textObject(one.text, names),
  );
}

function feedback(one, names) {
  const buttons = [one.positive_button, one.negative_button].map((each) =>
    button({ ...each, action_id: one.action_id, style: "plain" }, names),
  );
  return h("span", { class: "feedback" }, ...buttons);
}

function overflow(one, names) {
  const options = (one.options ?? []).map((option) =>
    h("button", { type: "button", "data-action-id": one.action_id, "data-value": option.value }, ...textObject(option.text, names)),
  );
  return h("details", { class: "overflow" }, h("summary", { "aria-label": "More" }, "⋯"), h("div", {}, ...options));
}

function choices(type, one, names, chosen = []) {
  const values = new Set(chosen.filter(Boolean).map((option) => option.value));
  const rows = (one.options ?? []).map((option) =>
    h(
      "label",
      { class: "choice" },
      h("input", { type, name: one.action_id, value: option.value, checked: values.has(option.value), "data-action-id": one.action_id }),
      h("span", {}, ...textObject(option.text, names), option.description && h("small", {}, ...textObject(option.description, names))),
    ),
  );
  return h("div", { class: "choices" }, ...rows);
}

function menu(one, names, held) {
  const multiple = one.type.startsWith("multi_");
  const chosen = multiple
    ? (held?.selected_options ?? one.initial_options ?? [])
    : [held?.selected_option ?? one.initial_option].filter(Boolean);
  const values = new Set(chosen.map((option) => option.value));
  const shown = (options) =>
    (options ?? []).map((option) =>
      h("option", { value: option.value, selected: values.has(option.value) }, option.text.text),
    );
  const groups = (one.option_groups ?? []).map((group) =>
    h("optgroup", { label: group.label?.text }, ...shown(group.options)),
  );
  const empty = !multiple && h("option", { value: "", selected: !values.size }, one.placeholder?.text ?? "Choose an option");
  return h("select", { class: "field", multiple, "data-action-id": one.action_id }, empty, ...shown(one.options), ...groups);
}

function typed(one, names, held, type = "text") {
  const value = held?.value ?? one.initial_value ?? "";
  const shared = {
    class: "field",
    placeholder: one.placeholder?.text,
    minlength: one.min_length,
    maxlength: one.max_length,
    "data-action-id": one.action_id,
  };
  if (!one.multiline) return h("input", { ...shared, type, value });
  return h("textarea", { ...shared, rows: Math.min(8, Math.max(2, Math.ceil(String(value).length / 58))) }, String(value));
}

/** A label, hint or title: plain text, its emoji drawn. */
export function words(object) {
  return object ? withEmoji(object.text) : [];
}
