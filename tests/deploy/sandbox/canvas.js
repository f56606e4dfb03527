/** Draws the page's parts without the page around them, whenever a test calls `show`. */
import { listen } from "/page/interactions.js";
import { blocks } from "/page/blocks.js";
import { h } from "/page/dom.js";
import { learn } from "/page/emoji.js";
import { Home } from "/page/home.js";
import { Modals } from "/page/modal.js";
import { mrkdwn } from "/page/mrkdwn.js";
import { Toasts } from "/page/toasts.js";
import { render } from "/page/vendor/preact.mjs";

const people = { U0STAFF: "staff", U0ASKER: "asker" };
const names = {
  user: (id) => window.people?.[id] ?? people[id] ?? id,
  channel: (id) => ({ C0OPS: "ops" })[id] ?? id,
  group: (id) => ({ S0STAFF: "staff" })[id] ?? id,
  file: (id) => `/page/file/${id}?as=asker`,
  everybody: () => Object.entries(people).map(([id, name]) => ({ id, name })),
  places: () => [{ id: "C0OPS", name: "ops" }],
};

function said({ ts, text, blocks: list }) {
  const body = list ? blocks(list, names) : mrkdwn(text, names);
  return h(
    "article",
    { key: ts, "data-channel": "C0HELP", "data-ts": ts },
    h("div", { class: "body" }, ...body),
  );
}

function Page({ messages = [], modals = [], home }) {
  return h(
    "div",
    {},
    ...messages.map(said),
    home && h(Home, { state: { home }, names }),
    h(Modals, { state: { modals }, names }),
    h(Toasts),
  );
}

await learn();
listen(document.body, () => names);
window.show = (state) => render(h(Page, state), document.getElementById("root"));
