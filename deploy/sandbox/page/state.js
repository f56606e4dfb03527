/**
 * What the page knows, and how what the sandbox says changes it.
 *
 * The state is never changed in place: `merge` gives a new one, in which only what changed is new.
 * So a message that is the same object as before need not be drawn again.
 */
import { namesOf } from "./names.js";

/** Nothing known yet. */
export function fresh() {
  return {
    connected: false, // whether the sandbox is there
    refused: "", // why this person cannot be played
    team: "",
    born: 0, // when the workspace was begun
    app: null, // {id, user}
    me: null,
    users: [],
    groups: {},
    channels: {},
    messages: {}, // channel → Map of ts → message
    loaded: {}, // channel → {oldest, more}: how far back its messages are here
    threads: new Set(), // "channel:ts" of the threads that are here
    statuses: {},
    prompts: {},
    modals: [],
    home: null,
    typing: {}, // "channel:thread" → {user: until}
    log: [],
    faults: {},
    sockets: 0,
    behind: null,
    commands: [],
    shortcuts: [],
    personas: [],
    names: namesOf({ users: [], groups: {}, channels: {} }),
  };
}

const TYPING_MS = 4000;
const MOST_LOGGED = 1000;

/** The state after what the sandbox said: `{kind: "all" | "more", …parts}`. */
export function merge(state, { kind, messages = [], typing = [], channels, log, ...parts }) {
  const base = kind === "all" ? { ...state, messages: {}, loaded: {}, threads: new Set(), log: [] } : state;
  const next = { ...base, ...parts, connected: true };
  if (channels) next.channels = known(kind === "all" ? channels : { ...base.channels, ...channels });
  if (log) next.log = [...base.log, ...log].slice(-MOST_LOGGED);
  if (messages.length) next.messages = withMessages(next, messages);
  for (const one of typing) next.typing = withTyping(next.typing, one);
  if (parts.users || parts.groups || otherNames(state.channels, next.channels)) next.names = namesOf(next);
  return next;
}

/** The state with a part of a channel's history, as `GET /page/history` gives it. */
export function withHistory(state, channel, { messages, more }) {
  const there = new Map(state.messages[channel]);
  for (const one of messages) there.set(one.ts, one);
  const oldest = messages[0]?.ts ?? state.loaded[channel]?.oldest ?? "";
  return {
    ...state,
    messages: { ...state.messages, [channel]: there },
    loaded: { ...state.loaded, [channel]: { oldest, more } },
  };
}

/** The state with a whole thread, as `GET /page/thread` gives it. */
export function withThread(state, channel, ts, { messages }) {
  const there = new Map(state.messages[channel]);
  for (const one of messages) there.set(one.ts, one);
  return {
    ...state,
    messages: { ...state.messages, [channel]: there },
    threads: new Set(state.threads).add(`${channel}:${ts}`),
  };
}

/** What stands in a channel itself, the oldest first. */
export function roots(state, channel) {
  const { oldest } = state.loaded[channel] ?? { oldest: "" };
  const all = sorted(state.messages[channel]);
  if (inChannel.get(all)?.oldest !== oldest) {
    const there = (one) => (!isReply(one) || one.subtype === "thread_broadcast") && one.ts >= oldest;
    inChannel.set(all, { oldest, found: all.filter(there) });
  }
  return inChannel.get(all).found;
}

/** The replies under a message, the oldest first. */
export function replies(state, channel, ts) {
  return sorted(state.messages[channel]).filter((one) => isReply(one) && one.thread_ts === ts);
}

/** One message, or undefined. */
export function message(state, channel, ts) {
  return state.messages[channel]?.get(ts);
}

/** Who types in a channel, or in a thread of it. */
export function typists(state, channel, thread = "") {
  const until = state.typing[`${channel}:${thread}`] ?? {};
  return Object.keys(until).filter((user) => until[user] > Date.now());
}

/** Whether a channel is the conversation with the app. */
export const isWithApp = ({ app }, channel) => channel?.type === "im" && channel.members.includes(app.user);

/** Whether a message stands under another one. */
export const isReply = (one) => Boolean(one.thread_ts) && one.thread_ts !== one.ts;

// What is made of the same messages is the same array, so that it need not be drawn again.
const inOrder = new WeakMap();
const inChannel = new WeakMap();
const NONE = [];

function sorted(messages) {
  if (!messages) return NONE;
  if (!inOrder.has(messages))
    inOrder.set(
      messages,
      [...messages.values()].sort((a, b) => (a.ts < b.ts ? -1 : 1)),
    );
  return inOrder.get(messages);
}

function withMessages(state, said) {
  const channels = { ...state.messages };
  for (const one of said) {
    if (!wanted(state, one)) continue;
    if (channels[one.channel] === state.messages[one.channel])
      channels[one.channel] = new Map(channels[one.channel]);
    if (one.gone) channels[one.channel].delete(one.ts);
    else channels[one.channel].set(one.ts, one);
  }
  return channels;
}

/** Whether a message belongs to what is here; others are asked for when somebody looks at them. */
function wanted(state, one) {
  if (state.messages[one.channel]?.has(one.ts)) return true;
  if (state.threads.has(`${one.channel}:${one.thread_ts ?? one.ts}`)) return true;
  const loaded = state.loaded[one.channel];
  return Boolean(loaded) && !isReply(one) && one.ts >= loaded.oldest;
}

function withTyping(typing, { user, channel, thread_ts: thread }) {
  const place = `${channel}:${thread}`;
  return { ...typing, [place]: { ...typing[place], [user]: Date.now() + TYPING_MS } };
}

/** Without those that are seen no more; no name of JavaScript's own is a channel's. */
function known(channels) {
  const seen = Object.entries(channels).filter(([, channel]) => channel !== null);
  return Object.assign(Object.create(null), Object.fromEntries(seen));
}

function otherNames(before, now) {
  const ids = Object.keys(now);
  return ids.length !== Object.keys(before).length || ids.some((id) => before[id]?.name !== now[id].name);
}
