/**
 * The page: keeps the state, the address and the drawing in step.
 *
 * `document.body.dataset.ready` says that what is looked at is here and drawn.
 */
import { listen } from "./interactions.js";
import { actWith, call, control, look } from "./api.js";
import { App } from "./app.js";
import { h } from "./dom.js";
import { learn } from "./emoji.js";
import { connect } from "./socket.js";
import { go, onMove, place } from "./route.js";
import { fresh, isWithApp, merge, roots, withHistory, withThread } from "./state.js";
import { restore } from "./theme.js";
import { toast } from "./toasts.js";
import { render } from "./vendor/preact.mjs";

const FIRST = "asker";
const PATIENCE_MS = 1000; // one that was just opened is told of a moment later
let state = fresh();
let line = null; // the socket of the person who is played
let who = ""; // whom it is for
let visited = ""; // which of the app's tabs they came to last
let waiting = false; // a drawing is on its way
const fetching = new Set(); // for each part that is being fetched, the messages heard meanwhile

/** What components may ask for. */
const ask = {
  /** Older messages of a channel. */
  async older(channel) {
    if (!state.loaded[channel]?.more) return;
    await bringHistory(channel, state.loaded[channel].oldest);
  },
  typing: (channel, thread) => line?.say({ typing: { channel, thread_ts: thread } }),
};

function set(next) {
  state = next;
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(draw);
}

function draw() {
  waiting = false;
  render(h(App, { state, names: state.names, place: place(), ask }), document.getElementById("page"));
  document.body.toggleAttribute("data-ready", ready());
}

function ready() {
  const { channel, thread } = place();
  if (!state.connected || !channel) return false;
  return Boolean(state.loaded[channel]) && (!thread || state.threads.has(`${channel}:${thread}`));
}

/** Follow the address: another person means another socket, another channel its messages. */
async function follow() {
  const { as, team } = place();
  if (!as) return go({ as: FIRST }, { replace: true });
  if (`${team}:${as}` !== who) {
    who = `${team}:${as}`;
    line?.leave();
    fetching.clear();
    state = fresh();
    line = connect({ as, team }, { heard, lost });
  }
  set({ ...state });
  if (state.connected) await bring();
}

async function heard(said) {
  if (said.token) actWith(said.token);
  if (said.kind === "all") fetching.clear();
  for (const meanwhile of fetching) meanwhile.push(...(said.messages ?? []));
  set(merge(state, said));
  if (said.kind === "all") return bring(false);
  const { channel } = place();
  const came = said.channels?.[channel] && !state.loaded[channel];
  if (came || !state.channels[channel]) await bring();
  await read(said);
}

function lost(why) {
  set({ ...state, connected: false, refused: why });
}

/** Ask for what is looked at and not here yet. */
async function bring(patient = true) {
  const { channel, thread, tab } = place();
  if (!state.channels[channel] && patient) return setTimeout(() => bring(false), PATIENCE_MS);
  if (!state.channels[channel])
    return go({ channel: firstChannel(), thread: "", tab: "" }, { replace: true });
  visit(channel, tab).catch(toast); // it takes seconds where no app answers
  try {
    if (!state.loaded[channel]) await bringHistory(channel, "");
    if (thread && !state.threads.has(`${channel}:${thread}`)) await bringThread(channel, thread);
    await mark(channel);
  } catch (error) {
    toast(error);
  }
}

/** The app hears when somebody comes to its home, once a visit. */
async function visit(channel, tab) {
  const here = isWithApp(state, state.channels[channel]);
  const visit = here ? `${who}:${channel}:${tab}` : "";
  if (visit === visited) return;
  visited = visit;
  if (here) await control("home", { tab: tab || "messages" });
}

function firstChannel() {
  const all = Object.values(state.channels);
  const theirs = all.filter((channel) => channel.is_member);
  return (theirs.find((channel) => channel.name === "help") ?? theirs[0] ?? all[0])?.id ?? "";
}

const bringHistory = (channel, before) =>
  fetched("history", { channel, before }, (found) => withHistory(state, channel, found));

const bringThread = (channel, ts) =>
  fetched("thread", { channel, ts }, (found) => withThread(state, channel, ts, found));

/**
 * Fetch a part of what was said, and put it in place with `into`.
 *
 * What the socket has brought meanwhile is newer, and may have come before its part was here. What
 * was asked for as somebody else, or before the sandbox told everything anew, counts no more.
 */
async function fetched(what, query, into) {
  const meanwhile = [];
  fetching.add(meanwhile);
  try {
    const found = await look(what, { ...person(), ...query });
    if (fetching.has(meanwhile)) set(merge(into(found), { kind: "more", messages: meanwhile }));
  } finally {
    fetching.delete(meanwhile);
  }
}

function person() {
  const { as, team } = place();
  return { as, team };
}

/** What comes while somebody looks is read. */
async function read({ messages = [] }) {
  const { channel } = place();
  if (document.visibilityState === "visible" && messages.some((one) => one.channel === channel))
    await mark(channel);
}

/** What one has seen is read; who comes for the first time has read all that is there. */
async function mark(channel) {
  const newest = roots(state, channel).at(-1);
  const { is_member: member, unread, last_read: before } = state.channels[channel] ?? {};
  if (newest && member && (unread || !before))
    await call("conversations.mark", { channel, ts: newest.ts }).catch(() => {});
}

restore();
await learn();
onMove(follow);
document.addEventListener("visibilitychange", () => state.connected && mark(place().channel));
listen(document.body, () => state.names);
await follow();
