/**
 * Block Kit as nodes. https://docs.slack.dev/reference/block-kit/blocks
 *
 * Pure: blocks in, nodes out. A `markdown` block is expected as the blocks that the sandbox makes
 * of it (`deploy/sandbox/markdown.py`); as it is, it is shown as plain lines.
 */
import { h } from "./dom.js";
import { element, picture, words } from "./elements.js";
import { textObject } from "./mrkdwn.js";
import { richText } from "./rich_text.js";

const KINDS = {
  section,
  context: (block, names) => h("div", { class: "context" }, ...block.elements.map((one) => element(one, names))),
  context_actions: row,
  actions: row,
  header: (block, names) => h("h3", {}, ...textObject(block.text, names)),
  divider: () => h("hr"),
  markdown: (block) => h("div", { class: "lines" }, block.text),
  image: (block, names) =>
    h("figure", {}, block.title && h("figcaption", {}, ...words(block.title)), picture(block, names)),
  input,
  rich_text: (block, names) => h("div", { class: "rich" }, ...richText(block, names)),
  table,
  plan,
  task_card: task,
  file: (block) => h("div", { class: "unknown" }, `file ${block.external_id}`),
  video: (block, names) => h("div", { class: "unknown" }, ...textObject(block.title, names)),
};
const MARKS = { pending: "○", in_progress: "", complete: "✓", error: "!" };

/**
 * Blocks, one under the other.
 *
 * values: what a view's inputs hold by now, by block and action id.
 */
export function blocks(list, names, values = {}) {
  return list.map((block) => {
    const shown = KINDS[block.type]?.(block, names, values[block.block_id] ?? {});
    const unknown = () => h("div", { class: "unknown" }, `(${block.type})`);
    return h("div", { class: `block of-${KINDS[block.type] ? block.type : "nothing"}`, "data-block-id": block.block_id }, shown ?? unknown());
  });
}

function section(block, names) {
  const fields = (block.fields ?? []).map((field) => h("div", {}, ...textObject(field, names)));
  return h(
    "div",
    { class: "beside" },
    h("div", { class: "words" }, ...textObject(block.text, names), fields.length > 0 && h("div", { class: "fields" }, ...fields)),
    block.accessory && h("div", { class: "accessory" }, element(block.accessory, names)),
  );
}

function row(block, names, held) {
  return h("div", { class: "row" }, ...block.elements.map((one) => element(one, names, held[one.action_id])));
}

function input(block, names, held) {
  const inner = element(block.element, names, held[block.element.action_id]);
  const grouped = inner.classList.contains("choices");
  const label = h("span", { class: "label" }, ...words(block.label), block.optional && h("small", {}, " (optional)"));
  const hint = block.hint && h("span", { class: "hint" }, ...words(block.hint));
  return h(grouped ? "div" : "label", { class: "input" }, label, inner, hint);
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
    { class: "scroll" },
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
  const title = typeof block.title === "string" ? block.title : block.title.text;
  return h(
    "section",
    { class: "plan" },
    h("header", {}, h("strong", {}, title), h("span", { class: "count" }, `${done} of ${tasks.length}`)),
    h("ol", {}, ...tasks.map((one) => h("li", {}, task(one, names)))),
  );
}

function task(block, names) {
  const title = typeof block.title === "string" ? block.title : block.title.text;
  const parts = [block.details, block.output].filter(Boolean);
  const sources = (block.sources ?? []).map((one) => h("span", { class: "source" }, one.text ?? one.url));
  return h(
    "div",
    { class: `task ${block.status in MARKS ? block.status : "pending"}` },
    h("span", { class: "mark", "aria-label": block.status }, MARKS[block.status] ?? ""),
    h("div", {}, h("div", { class: "title" }, title), ...parts.map((one) => h("div", { class: "rich" }, ...richText(one, names))), ...sources),
  );
}
