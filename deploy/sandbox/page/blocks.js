/**
 * Block Kit. https://docs.slack.dev/reference/block-kit/blocks
 *
 * Pure: blocks in, elements out. A `markdown` block is expected as the blocks that the sandbox makes
 * of it (`deploy/sandbox/markdown.py`); as it is, it is shown as plain lines.
 */
import { h, link } from "./dom.js";
import { element, isGroup, picture, useOwnId, words } from "./elements.js";
import { textObject } from "./mrkdwn.js";
import { richText } from "./rich_text.js";
import { Component } from "./vendor/preact.mjs";

const KINDS = {
  section,
  context: (block, names) =>
    h("div", { class: "context" }, ...block.elements.map((one) => element(one, names))),
  context_actions: row,
  actions: row,
  header: (block, names) => h("h3", {}, ...textObject(block.text, names)),
  divider: () => h("hr"),
  markdown: (block) => h("div", { class: "lines" }, block.text),
  image: (block, names) =>
    h("figure", {}, block.title && h("figcaption", {}, ...words(block.title)), picture(block, names)),
  input: (block, names, held, error) => h(Input, { block, names, held, error }),
  rich_text: (block, names) => h("div", { class: "rich" }, ...richText(block, names)),
  table,
  plan,
  task_card: task,
  file: (block) => h("div", { class: "unknown" }, `file ${block.external_id}`),
  video: (block, names) => h("div", { class: "unknown" }, ...textObject(block.title, names)),
};
const MARKS = { pending: "○", in_progress: "", complete: "✓", error: "!" };

/**
 * Blocks, one under the other. What is typed and chosen stays where the ids of a block and of its
 * element stay, as in Slack.
 *
 * values: what a view's inputs hold by now, by block and action id.
 * errors: what is wrong with an input, by block id.
 */
export function blocks(list, names, values = {}, errors = {}) {
  return list.map((block, at) => {
    const draw = () =>
      KINDS[block.type]?.(block, names, values[block.block_id] ?? {}, errors[block.block_id]);
    const about = {
      key: block.block_id ?? at,
      class: `block of-${KINDS[block.type] ? block.type : "nothing"}`,
      "data-block-id": block.block_id,
      "data-silent": block.type === "input" && !block.dispatch_action, // tells nothing before it is submitted
    };
    return h("div", about, h(Whole, { block, draw }));
  });
}

/** One block; where it cannot be drawn, the rest of the page still is. */
class Whole extends Component {
  state = { failed: null };

  componentDidCatch(error) {
    console.warn(error);
    this.setState({ failed: this.props.block });
  }

  render({ block, draw }, { failed }) {
    return failed === block ? unknown(block) : h(Drawn, { draw, block });
  }
}

function Drawn({ draw, block }) {
  return draw() ?? unknown(block);
}

function unknown(block) {
  return h("div", { class: "unknown" }, `(${block.type})`);
}

function section(block, names, held) {
  const fields = (block.fields ?? []).map((field) => h("div", {}, ...textObject(field, names)));
  const accessory = block.accessory;
  return h(
    "div",
    { class: "beside" },
    h(
      "div",
      { class: "words" },
      ...textObject(block.text, names),
      fields.length > 0 && h("div", { class: "fields" }, ...fields),
    ),
    accessory && h("div", { class: "accessory" }, element(accessory, names, held[accessory.action_id])),
  );
}

function row(block, names, held) {
  return h("div", { class: "row" }, ...block.elements.map((one) => element(one, names, held[one.action_id])));
}

/** A label with its field, and beneath it what is wrong, else what it is for. */
function Input({ block, names, held, error }) {
  const id = useOwnId();
  const group = isGroup(block.element);
  const described = [error && `${id}-error`, block.hint && `${id}-hint`].filter(Boolean).join(" ");
  const about = {
    id,
    "aria-labelledby": group && `${id}-label`,
    "aria-describedby": described || null,
    "aria-invalid": Boolean(error),
    "aria-required": !block.optional,
  };
  return h(
    "div",
    { class: "input" },
    h(
      group ? "span" : "label",
      { class: "label", id: `${id}-label`, for: group ? null : id },
      ...words(block.label),
      block.optional && h("small", {}, " (optional)"),
    ),
    element(block.element, names, held[block.element.action_id], about),
    error && h("span", { class: "wrong", id: `${id}-error` }, error),
    block.hint && h("span", { class: "hint", id: `${id}-hint` }, ...words(block.hint)),
  );
}

function table(block, names) {
  const settings = block.column_settings ?? [];
  const cell = (tag) => (one, at) => {
    const shown = one.type === "rich_text" ? richText(one, names) : [String(one.text ?? "")];
    const align = settings[at]?.align ?? (one.type === "raw_number" ? "right" : null);
    return h(tag, { class: align && `to-${align}` }, ...shown);
  };
  const [head, ...rest] = block.rows;
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...(head ?? []).map(cell("th")))),
      h("tbody", {}, ...rest.map((line) => h("tr", {}, ...line.map(cell("td"))))),
    ),
  );
}

function plan(block, names) {
  const tasks = block.tasks ?? [];
  const done = tasks.filter((one) => one.status === "complete").length;
  return h(
    "section",
    { class: "plan" },
    h(
      "header",
      {},
      h("strong", {}, titleOf(block)),
      h("span", { class: "count" }, `${done} of ${tasks.length}`),
    ),
    h("ol", {}, ...tasks.map((one) => h("li", { key: one.task_id }, task(one, names)))),
  );
}

function task(block, names) {
  const parts = [block.details, block.output].filter(Boolean);
  const sources = (block.sources ?? []).map((one) =>
    h("span", { class: "source" }, link(one.url ?? "", one.text || one.url)),
  );
  const status = block.status in MARKS ? block.status : "pending";
  return h(
    "div",
    { class: `task ${status}` },
    h("span", { class: "mark", role: "img", "aria-label": status.replace("_", " ") }, MARKS[status]),
    h(
      "div",
      { class: "told" },
      h("div", { class: "title" }, titleOf(block)),
      ...parts.map((one) => h("div", { class: "rich" }, ...richText(one, names))),
      sources.length > 0 && h("div", { class: "sources" }, ...sources),
    ),
  );
}

function titleOf(block) {
  return typeof block.title === "string" ? block.title : (block.title?.text ?? "");
}
