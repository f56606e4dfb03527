/**
 * The page: a workspace as everybody in it sees it together, read from `GET /page/state`.
 *
 * What is looked at stands in the address: `?channel=ID`, with `&thread=TS` one thread of it alone,
 * `?home=USER` somebody's Home tab, `?modal=USER` the modal in front of somebody; `&team=ID` is
 * another workspace. With `&alone` it is shown without the workspace around it.
 * `document.body.dataset.ready` says that it is drawn.
 *
 * It only looks. Whoever lets it act listens for clicks and submits on `document.body` and reads the
 * `data-` attributes that `elements.js` names; a composer goes under the messages of `conversation`;
 * a socket calls `refresh` instead of the timer.
 */
import { h } from "./dom.js";
import { learn } from "./emoji.js";
import { home } from "./home.js";
import { avatar, message, replyCount } from "./message.js";
import { modal } from "./modal.js";

const EVERY_MS = 1000;
const TOGETHER_S = 300; // messages of one person within this time share a name and a face
const look = new URLSearchParams(location.search);
let drawn = "";

/** Ask for the state, and draw it where it is not what is shown already. */
export async function refresh() {
  const answer = await fetch(`/page/state?team=${encodeURIComponent(look.get("team") ?? "")}`);
  const { now, ...state } = await answer.json();
  const said = JSON.stringify(state);
  if (said !== drawn) draw(state);
  drawn = said;
  document.body.dataset.ready = "";
}

/** What ids are called, for everything that is drawn. */
function namesOf(state) {
  const people = new Map(state.users.map((user) => [user.id, user]));
  const named = (user) => user?.real_name || user?.name;
  return {
    person: (id) => people.get(id),
    user: (id) => named(people.get(id)) ?? id,
    group: (id) => state.groups[id] ?? id,
    channel: (id) => title(id, state.channels[id], people),
    file: (id) => `/page/file/${state.team}/${encodeURIComponent(id)}`,
  };
}

function title(id, channel, people) {
  if (!channel) return id;
  if (channel.type !== "im") return channel.name;
  return channel.members.map((member) => people.get(member)?.real_name ?? member).join(", ");
}

function draw(state) {
  const names = namesOf(state);
  const scrolled = document.querySelector(".scroller");
  const atEnd = !scrolled || scrolled.scrollHeight - scrolled.scrollTop - scrolled.clientHeight < 40;
  const top = scrolled?.scrollTop ?? 0;
  document.body.classList.toggle("alone", look.has("alone"));
  document.body.replaceChildren(...(look.has("alone") ? [panel(state, names)] : workspace(state, names)));
  const fresh = document.querySelector(".scroller");
  if (fresh) fresh.scrollTop = atEnd && !look.has("home") ? fresh.scrollHeight : top;
}

function workspace(state, names) {
  const entry = (query, sign, name, here) =>
    h("a", { class: `entry${here ? " here" : ""}`, href: `?${query}&team=${state.team}` }, h("span", { class: "sign" }, sign), name);
  const channels = Object.entries(state.channels).map(([id, channel]) =>
    entry(`channel=${id}`, { channel: "#", group: "◆", im: "●" }[channel.type], names.channel(id), id === shownChannel(state)),
  );
  const homes = Object.keys(state.views.homes).map((id) =>
    entry(`home=${id}`, "⌂", `as ${names.user(id)} sees it`, look.get("home") === id),
  );
  const side = h(
    "nav",
    { class: "side" },
    h("header", {}, h("img", { class: "avatar small", src: "/page/mynah.svg", alt: "" }), h("strong", {}, "Local Slack")),
    h("h2", {}, "Conversations"),
    ...channels,
    homes.length > 0 && h("h2", {}, "Mynah’s Home tab"),
    ...homes,
    h("footer", {}, "A view of all that happens here. People act through the Web API."),
  );
  return [side, panel(state, names), ...dialogs(state, names)];
}

function dialogs(state, names) {
  return Object.entries(state.views.modals).map(([id, view]) =>
    h("aside", { class: "dialog" }, h("p", {}, `In front of ${names.user(id)}`), modal(view, names)),
  );
}

function panel(state, names) {
  if (look.has("modal")) {
    const view = state.views.modals[look.get("modal")];
    return h("main", { class: "panel bare" }, view ? modal(view, names) : "");
  }
  if (look.has("home")) return homePanel(state, names);
  return conversation(state, names, shownChannel(state));
}

function homePanel(state, names) {
  const tabs = h("div", { class: "tabs" }, h("b", {}, "Home"), h("span", {}, "Messages"));
  return h(
    "main",
    { class: "panel" },
    h("header", { class: "top" }, avatar(state.app, names), h("h1", {}, names.user(state.app)), tabs),
    h("div", { class: "scroller" }, home(state.views.homes[look.get("home")], names)),
  );
}

function shownChannel(state) {
  if (look.has("home") || look.has("modal")) return null;
  return look.get("channel") ?? Object.keys(state.channels)[0];
}

function conversation(state, names, id) {
  const all = (state.messages[id] ?? []).filter((one) => !one.deleted);
  const thread = look.get("thread");
  const isReply = (one) => one.thread_ts && one.thread_ts !== one.ts;
  const roots = all.filter((one) => (thread ? one.ts === thread : !isReply(one)));
  const replies = (root) => all.filter((one) => isReply(one) && one.thread_ts === root.ts);
  const sign = state.channels[id]?.type === "im" ? "" : "# ";
  const said = roots.map((root, at) => [
    message(root, names, { goesOn: follows(roots[at - 1], root) }),
    replies(root).length > 0 && threadOf(root, replies(root), names, state.statuses[`${id}:${root.ts}`]),
  ]);
  return h(
    "main",
    { class: "panel" },
    h("header", { class: "top" }, h("h1", {}, sign + names.channel(id)), thread && h("span", { class: "crumb" }, "Thread")),
    h("div", { class: "scroller" }, h("div", { class: "messages" }, ...said.flat(), !said.length && h("p", { class: "empty" }, "Nothing has been said here yet."))),
  );
}

function threadOf(root, replies, names, status) {
  return h(
    "div",
    { class: "thread" },
    replyCount({ reply_count: replies.length }),
    ...replies.map((one, at) => message(one, names, { goesOn: follows(replies[at - 1], one) })),
    status && h("p", { class: "status" }, `${names.user(root.user)} sees: ${status}`),
  );
}

function follows(before, one) {
  if (!before || before.reply_count || before.user !== one.user) return false;
  if (before.ephemeral_to !== one.ephemeral_to || before.reactions?.length) return false;
  return !one.blocks?.length && Number(one.ts) - Number(before.ts) < TOGETHER_S;
}

async function watch() {
  try {
    await refresh();
  } catch {
    document.body.dataset.lost = ""; // the sandbox has ended, or is not there yet
  }
  setTimeout(watch, EVERY_MS);
}

await learn();
await watch();
