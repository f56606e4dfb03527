/**
 * The first steps, and how far somebody has come: pure functions of what the page knows.
 *
 * A walk is `{since, done, question, replied, corrected, gate, live, hidden}`. It only ever goes on, for the
 * page holds no more than the messages that somebody looks at.
 */
import { teaches } from "./roles.js";
import { isReply, isWithApp } from "./state.js";

/** The steps, in their order. */
export const STEPS = ["ask", "correct", "again", "train", "rollback"];

const ROLLED_BACK = /\brolled back from v\d+ to v\d+/i;

/** A walk that begins now; what was said before, in the seed, is none of it. */
export function begun(now) {
  return {
    since: now.toFixed(6), // a ts
    done: [],
    question: null, // {channel, ts, text}: what was asked last, and answered
    replied: false, // whether staff have said something under it
    corrected: "", // a ts: since when Mynah knows better
    gate: null, // the run of the last gate when the walk began
    live: 0, // the highest version that was live
    hidden: false,
  };
}

/** The first step that is not done, or undefined. */
export const current = (walk) => STEPS.find((step) => !walk.done.includes(step));

/** The walk after what the state shows; the same object where nothing was reached. */
export function reached(walk, state) {
  const said = since(walk, state);
  const asked = answered(said, state);
  const found = asked.at(-1);
  const question = found ? { channel: found.channel, ts: found.ts, text: found.text } : walk.question;
  const corrected = walk.corrected || correctedAt(said, state);
  const now = {
    ...walk,
    question,
    replied: said.some(
      (one) => isReply(one) && one.thread_ts === question?.ts && staffOf(state).has(one.user),
    ),
    corrected,
    gate: walk.gate ?? (state.behind ? (state.behind.gate?.run ?? 0) : null),
    live: Math.max(walk.live, version(state.behind)),
  };
  const is = {
    ask: asked.length > 0,
    correct: Boolean(corrected),
    again: Boolean(corrected) && asked.some((one) => one.ts > corrected),
    train: now.gate !== null && (state.behind?.gate?.run ?? 0) > now.gate,
    rollback: rolledBack(said, state, now.live),
  };
  now.done = STEPS.filter((step) => walk.done.includes(step) || is[step]);
  return JSON.stringify(now) === JSON.stringify(walk) ? walk : now;
}

/** What the person who looks has asked the app in a channel since the walk began, the newest. */
export function justAsked(walk, state, channel) {
  const theirs = (one) => one.channel === channel && one.user === state.me && !isReply(one);
  return since(walk, state).findLast((one) => theirs(one) && one.text?.includes(`<@${state.app.user}>`));
}

const staffOf = ({ users }) => new Set(users.filter(teaches).map((user) => user.id));

function since(walk, { messages }) {
  const all = Object.values(messages).flatMap((there) => [...there.values()]);
  return all.filter((one) => one.ts > walk.since).sort((a, b) => (a.ts < b.ts ? -1 : 1));
}

/** Questions to the app that it has answered. */
function answered(said, state) {
  const { app, channels } = state;
  const spoke = new Set(
    said.filter((one) => one.user === app.user && isReply(one)).map((one) => one.thread_ts),
  );
  const toApp = (one) => one.text?.includes(`<@${app.user}>`) || isWithApp(state, channels[one.channel]);
  const isAnswered = (one) => spoke.has(one.ts) || one.reply_users?.includes(app.user);
  return said.filter((one) => !isReply(one) && one.user !== app.user && toApp(one) && isAnswered(one));
}

/** Since when an answer is corrected: by its modal, or by a reply that staff marked with 📝. */
function correctedAt(said, { app, users }) {
  const staff = staffOf({ users });
  const marked = (one) =>
    one.reactions?.some(({ name, users: by }) => name === "memo" && by.some((id) => staff.has(id)));
  const changed = (one) => one.user === app.user && one.metadata?.event_payload?.mode === "corrected";
  const found = said.find((one) => isReply(one) && (changed(one) || (one.user !== app.user && marked(one))));
  return found ? (found.edited?.ts ?? found.ts) : "";
}

function rolledBack(said, { app, behind }, highest) {
  const now = version(behind);
  return (
    (now > 0 && now < highest) ||
    said.some((one) => one.user === app.user && ROLLED_BACK.test(one.text ?? ""))
  );
}

/** The number of the live version; 0 where it is not known. */
function version(behind) {
  return Number(/\bv(\d+)/.exec(behind?.live ?? "")?.[1] ?? 0);
}
