/**
 * Buttons, menus and inputs. https://docs.slack.dev/reference/block-kit/block-elements
 *
 * They do nothing by themselves. Each carries `data-action-id` and, where it has one, `data-value`,
 * inside its block's `data-block-id`: `interactions.js` listens for clicks and changes and reads these,
 * `input_values.js` reads what is typed and chosen. What an input holds at first is its default alone, so
 * no redraw takes away what somebody has typed or chosen since.
 */
import { ledTo } from "./arrows.js";
import { LINKED, h } from "./dom.js";
import { drawnPlain, textObject, withEmoji } from "./mrkdwn.js";
import { useState } from "./vendor/hooks.mjs";

const KINDS = {
  button,
  workflow_button: button,
  icon_button: icon,
  feedback_buttons: feedback,
  overflow: (one, names) => h(Overflow, { one, names, key: one.action_id }),
  image: picture,
  radio_buttons: (one, names, held, more) =>
    h(Choices, {
      ...{ type: "radio", one, names, key: one.action_id },
      chosen: [holds(held, "selected_option", one.initial_option)],
      more: { role: "radiogroup", ...more },
    }),
  checkboxes: (one, names, held, more) => {
    const { "aria-invalid": _invalid, "aria-required": _required, ...rest } = more; // a group has neither
    return h(Choices, {
      ...{ type: "checkbox", one, names, key: one.action_id },
      chosen: holds(held, "selected_options", one.initial_options),
      more: { role: "group", ...rest },
    });
  },
  plain_text_input: (one, names, held, more) => typed(one, holds(held, "value", one.initial_value), more),
  email_text_input: (one, names, held, more) =>
    typed(one, holds(held, "value", one.initial_value), { type: "email", ...more }),
  url_text_input: (one, names, held, more) =>
    typed(one, holds(held, "value", one.initial_value), { type: "url", ...more }),
  number_input: (one, names, held, more) => {
    const limits = { min: one.min_value, max: one.max_value, step: one.is_decimal_allowed ? "any" : 1 };
    return typed(one, holds(held, "value", one.initial_value), { type: "number", ...limits, ...more });
  },
  datepicker: (one, names, held, more) =>
    typed(one, holds(held, "selected_date", one.initial_date), { type: "date", ...more }),
  timepicker: (one, names, held, more) =>
    typed(one, holds(held, "selected_time", one.initial_time), { type: "time", ...more }),
  datetimepicker: (one, names, held, more) =>
    typed(one, clockTime(holds(held, "selected_date_time", one.initial_date_time)), {
      type: "datetime-local",
      ...more,
    }),
};

let ids = 0;

// Each kind of menu: what its choice is called in a state, what is chosen at first, what it offers.
const MENUS = {
  static: (one) => ["option", groupsOf(one)],
  users: (one, names) => ["user", [{ options: names.everybody().map(offered) }]],
  conversations: (one, names) => ["conversation", [{ options: names.places().map(offered) }]],
  channels: (one, names) => ["channel", [{ options: names.places().map(offered) }]],
};

/**
 * An element of a block.
 *
 * held: what it holds by now, as a view's state tells it; undefined where nobody knows.
 * more: attributes of the field: its id, and what labels and describes it.
 */
export function element(one, names, held, more = {}) {
  if (one.type === "mrkdwn" || one.type === "plain_text") return h("span", {}, ...textObject(one, names));
  const [, multiple, kind] = /^(multi_)?(\w+)_select$/.exec(one.type) ?? [];
  if (kind in MENUS) return menu(one, MENUS[kind](one, names), held, Boolean(multiple), more);
  return KINDS[one.type]?.(one, names, held, more) ?? h("span", { class: "unknown" }, `(${one.type})`);
}

/** An id that nothing else on the page has; Preact's own come again once its root is drawn anew. */
export function useOwnId() {
  return useState(() => `own-${(ids += 1)}`)[0];
}

/** Whether an element is several fields, which a label alone cannot name. */
export function isGroup(one) {
  return one.type === "radio_buttons" || one.type === "checkboxes";
}

/** A picture of ours, by its file; one from elsewhere is named, and never fetched. */
export function picture(one, names) {
  const file = one.slack_file?.id ?? /\/files\/(\w+)\//.exec(one.slack_file?.url ?? one.image_url ?? "")?.[1];
  const alt = one.alt_text ?? "";
  if (!file) return h("span", { class: "unknown", title: one.image_url }, alt);
  return h("img", { src: names.file(file), alt });
}

/** A label, hint or title: plain text, its emoji drawn. */
export function words(object) {
  return object ? withEmoji(object.text) : [];
}

/** What an element holds: what its view's state says, also where that is nothing; else its default. */
function holds(held, name, initial) {
  return held && name in held ? held[name] : initial;
}

/** What every element tells of itself to whoever listens. */
function marks(one) {
  return {
    key: `${one.type} ${one.action_id}`,
    "data-action-id": one.action_id,
    "data-kind": one.type,
    "data-confirm": one.confirm && JSON.stringify(one.confirm),
  };
}

function button(one, names, _held, { label, ...more } = {}) {
  const kind = ["primary", "danger", "plain"].includes(one.style) ? one.style : "usual";
  const followed = LINKED.test(one.url ?? "");
  const address = followed
    ? { href: one.url, target: "_blank", rel: "noopener noreferrer" }
    : { type: "button" };
  const about = {
    "data-value": one.value,
    "data-url": followed && one.url,
    "aria-label": one.accessibility_label,
  };
  return h(
    followed ? "a" : "button",
    { ...marks(one), ...address, ...about, class: `button ${kind}`, ...more },
    ...(label ?? textObject(one.text, names)),
  );
}

/** An icon alone, its text beside it for those who point at it; an unknown icon stays a word. */
function icon(one, names) {
  const shown = { trash: "🗑" }[one.icon];
  const text = one.text?.text;
  const named = { ...one, style: "plain", accessibility_label: one.accessibility_label ?? text };
  return button(named, names, null, shown ? { title: text, label: [shown] } : {});
}

function feedback(one, names) {
  const buttons = [one.positive_button, one.negative_button].map((each) =>
    button({ ...each, type: one.type, action_id: one.action_id, style: "plain" }, names, null, {
      key: each.value,
    }),
  );
  return h("span", { class: "feedback", role: "group", "aria-label": "Rate this answer" }, ...buttons);
}

/** A menu behind three dots: a popover, so Escape, a click elsewhere and a choice close it. */
function Overflow({ one, names }) {
  const id = useOwnId();
  const options = (one.options ?? []).map((option) =>
    button({ ...option, type: one.type, action_id: one.action_id, confirm: one.confirm }, names, null, {
      key: option.value,
      class: "option",
      role: "menuitem",
      tabindex: -1,
    }),
  );
  return h(
    "span",
    { class: "overflow" },
    h(
      "button",
      {
        type: "button",
        class: "button dots",
        popovertarget: id,
        "aria-haspopup": "menu",
        "aria-label": "More actions",
      },
      "⋯",
    ),
    h(
      "div",
      {
        id,
        class: "menu",
        popover: "auto",
        role: "menu",
        "aria-label": "More actions",
        onToggle: unfold,
        onKeyDown: keyed,
      },
      ...options,
    ),
  );
}

/** Put a menu that opens beneath its dots, and the focus on its first option. */
function unfold(event) {
  const list = event.currentTarget;
  if (event.newState !== "open") return;
  const dots = list.previousElementSibling.getBoundingClientRect();
  const below = dots.bottom + 4 + list.offsetHeight <= innerHeight;
  list.style.left = `${Math.max(8, Math.min(dots.left, innerWidth - list.offsetWidth - 8))}px`;
  list.style.top = `${below ? dots.bottom + 4 : Math.max(8, dots.top - 4 - list.offsetHeight)}px`;
  list.firstElementChild?.focus();
}

/** Arrows go around in a menu; Tab leaves it. */
function keyed(event) {
  const list = event.currentTarget;
  const to = ledTo(event.key, [...list.children], document.activeElement);
  if (event.key === "Tab") list.hidePopover();
  if (!to) return;
  event.preventDefault();
  to.focus();
}

/** Radio buttons or checkboxes; their name is theirs alone, wherever the same ids stand again. */
function Choices({ type, one, names, chosen, more }) {
  const name = useOwnId();
  const values = new Set((chosen ?? []).filter(Boolean).map((option) => option.value));
  const rows = (one.options ?? []).map((option) =>
    h(
      "label",
      { class: "choice", key: option.value },
      h("input", { type, name, value: option.value, defaultChecked: values.has(option.value) }),
      h(
        "span",
        {},
        ...textObject(option.text, names),
        option.description && h("small", {}, ...textObject(option.description, names)),
      ),
    ),
  );
  const label = more["aria-labelledby"] ? null : "Options";
  return h("div", { ...marks(one), "aria-label": label, ...more, class: "choices" }, ...rows);
}

function menu(one, [kind, groups], held, multiple, more) {
  const values = multiple
    ? holds(held, `selected_${kind}s`, one[`initial_${kind}s`])
    : [holds(held, `selected_${kind}`, one[`initial_${kind}`])];
  const chosen = new Set((values ?? []).filter(Boolean).map((each) => each.value ?? each));
  const shown = (options) =>
    (options ?? []).map((option) =>
      h(
        "option",
        {
          key: option.value,
          value: option.value,
          defaultSelected: chosen.has(option.value),
          title: option.description?.text,
        },
        drawnPlain(option.text.text),
      ),
    );
  const hint = one.placeholder?.text ?? (multiple ? "Choose options" : "Choose an option");
  const listed = groups.flatMap((group) =>
    group.label
      ? [h("optgroup", { key: `of ${group.label.text}`, label: group.label.text }, ...shown(group.options))]
      : shown(group.options),
  );
  const empty = !multiple && h("option", { key: "", value: "" }, drawnPlain(hint));
  const label = more.id ? null : hint;
  return h(
    "select",
    { ...marks(one), class: "field", multiple, autofocus: one.focus_on_load, "aria-label": label, ...more },
    empty,
    ...listed,
  );
}

function typed(one, value, more) {
  const text = String(value ?? "");
  const shared = {
    ...marks(one),
    class: "field",
    placeholder: one.placeholder?.text,
    autofocus: one.focus_on_load,
    "aria-label": more.id ? null : (one.placeholder?.text ?? "Value"),
    "data-dispatch": one.dispatch_action_config?.trigger_actions_on?.join(" "),
    defaultValue: text,
  };
  if (!one.multiline) return h("input", { type: "text", ...shared, ...more });
  return h("textarea", { ...shared, ...more, rows: Math.min(8, Math.max(3, Math.ceil(text.length / 58))) });
}

/** The options of a static menu, by group; what has no groups is one group without a label. */
function groupsOf(one) {
  return one.option_groups ?? [{ options: one.options }];
}

function offered({ id, name }) {
  return { value: id, text: { text: name } };
}

/** Seconds since 1970 as an input of date and time takes them: the clock on this wall. */
function clockTime(seconds) {
  if (!seconds) return "";
  const here = new Date(seconds * 1000);
  return new Date(here - here.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
