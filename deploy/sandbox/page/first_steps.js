/** The first steps: a card that leads a newcomer from a question to a trained model and back. */
import { writeIn } from "./drafts.js";
import { h } from "./dom.js";
import { keep, kept, onKept } from "./preferences.js";
import { go } from "./route.js";
import { played } from "./roles.js";
import { STEPS, begun, current, justAsked, reached } from "./progress.js";
import { useEffect, useState } from "./vendor/hooks.mjs";

const QUESTION = "Which port does the Fernloft web interface listen on?";
const ANSWER = "The Fernloft web interface listens on port 7411, on every address unless you bind it to one.";
const AGAIN = "what port do I type in the browser to open fernloft?";

/** What is on its way: {as, channel: its name, thread, text}; it waits until its person is here. */
let waiting = null;

/** The card; `slim` is one step that opens to all, for a narrow window. */
export function Walk({ state, names, place, slim = false }) {
  const [walk, change] = useWalk(state);
  const [opened, open] = useState("");
  const [unfolded, unfold] = useState(!slim);
  const [, again] = useState({});
  useEffect(() => arrive(state, place));
  useEffect(() => openThread(state, place, walk), [state.messages, walk]);
  if (!walk || walk.hidden) return null;

  const next = current(walk);
  const shown = opened || next;
  const texts = sentences(state, names, walk);
  const start = (step) => {
    unfold(!slim);
    open("");
    waiting = plan(step, state, names, walk);
    go({ as: waiting.as });
    again({});
  };
  return h(
    "section",
    { class: `walk${slim ? " slim" : ""}`, "aria-label": "First steps" },
    h(
      "header",
      {},
      h("h2", {}, "First steps"),
      h("span", { class: "walk-count" }, next ? `${walk.done.length} of ${STEPS.length}` : "all done 🎉"),
      slim &&
        h(
          "button",
          {
            type: "button",
            class: "plain",
            "aria-expanded": String(unfolded),
            onClick: () => unfold(!unfolded),
          },
          unfolded ? "Less" : "More",
        ),
      h(
        "button",
        { type: "button", class: "plain", onClick: () => change(begun(Date.now() / 1000)) },
        "Start over",
      ),
      h(
        "button",
        { type: "button", class: "plain", onClick: () => change({ ...walk, hidden: true }) },
        "Hide",
      ),
    ),
    state.sockets === 0 &&
      h(
        "p",
        { class: "walk-alone", role: "status" },
        "No bot is connected, so nobody answers. ",
        h("code", {}, "make play"),
        " starts everything.",
      ),
    h(
      "ol",
      {},
      ...STEPS.filter((step) => unfolded || step === shown).map((step) =>
        h(Step, {
          key: step,
          ...texts[step],
          number: STEPS.indexOf(step) + 1,
          done: walk.done.includes(step),
          open: step === shown,
          toggle: () => open(step === opened ? "" : step),
          start: startOf(step, walk, start),
        }),
      ),
    ),
  );
}

/** What the button of a step does; nothing where it is for the person's own hand. */
function startOf(step, walk, start) {
  if (step === "correct" && (!walk.question || walk.replied)) return null;
  return () => start(step);
}

/** The way back to steps that were hidden. */
export function WalkBack({ state }) {
  const [walk, change] = useWalk(state);
  return (
    walk?.hidden &&
    h(
      "button",
      { type: "button", class: "entry walk-back", onClick: () => change({ ...walk, hidden: false }) },
      h("span", { class: "sign", "aria-hidden": "true" }, "👣"),
      "First steps",
    )
  );
}

function Step({ number, title, text, wait, done, open, toggle, start }) {
  return h(
    "li",
    { class: `step${done ? " done" : ""}${open ? " open" : ""}` },
    h(
      "button",
      { type: "button", class: "step-title", "aria-expanded": String(open), onClick: toggle },
      h("span", { class: "step-mark", "aria-hidden": "true" }, done ? "✓" : String(number)),
      title,
      done && h("span", { class: "hidden" }, " (done)"),
    ),
    open &&
      h(
        "div",
        { class: "step-text" },
        h("p", {}, ...text),
        start
          ? h("button", { type: "button", class: "button primary", onClick: start }, "Write it for me")
          : wait && h("p", { class: "quiet" }, wait),
        start && h("p", { class: "quiet" }, "Enter sends it."),
      ),
  );
}

/** How far this browser has come in the workspace, and how to say otherwise. */
function useWalk(state) {
  const name = `walk:${state.team}:${state.born}`; // a workspace that was begun anew is walked anew
  const [, again] = useState({});
  useEffect(() => {
    again({}); // it may have been kept since this was drawn
    return onKept(name, () => again({}));
  }, [name]);
  useEffect(() => {
    const before = kept(name, null);
    const now = reached(before ?? begun(Date.now() / 1000), state);
    if (now !== before) keep(name, now);
  }, [state.messages, state.behind, name]);
  return [kept(name, null), (walk) => keep(name, walk)];
}

/** Go on with what waits, once its person is here. */
function arrive(state, place) {
  const me = state.personas.find(({ name }) => name === place.as)?.id;
  if (!waiting || place.as !== waiting.as || !state.connected || state.me !== me) return;
  const { channel: name, thread, text } = waiting;
  waiting = null;
  const channel = Object.values(state.channels).find((one) => one.name === name || one.id === name);
  if (!channel) return;
  go({ channel: channel.id, thread, tab: "" });
  writeIn(`${channel.id}:${thread}`, text);
}

const opened = new Set(); // the ts of questions whose thread was opened once

/** Show a newcomer the thread of what they have just asked: the answer comes there. */
function openThread(state, place, walk) {
  if (!walk || walk.hidden || place.thread || !["ask", "again"].includes(current(walk))) return;
  const asked = justAsked(walk, state, place.channel);
  if (!asked || opened.has(asked.ts)) return;
  opened.add(asked.ts);
  go({ thread: asked.ts });
}

/** Who does a step, where, and what they write. */
function plan(step, state, names, walk) {
  const [asker, another] = played(state, "asker");
  const [staff] = played(state, "staff");
  const [admin] = played(state, "admin");
  const mynah = `@${names.user(state.app.user)}`;
  return {
    ask: { as: asker, channel: "help", thread: "", text: `${mynah} ${QUESTION}` },
    correct: {
      as: staff,
      channel: walk.question?.channel,
      thread: walk.question?.ts ?? "",
      text: walk.question?.text.includes(QUESTION) ? ANSWER : "",
    },
    again: { as: another ?? asker, channel: "help", thread: "", text: `${mynah} ${AGAIN}` },
    train: { as: admin, channel: "mynah-admin", thread: "", text: "/mynah train" },
    rollback: { as: admin, channel: "mynah-admin", thread: "", text: "/mynah rollback" },
  }[step];
}

/** What each step is called, and what to do in it. */
function sentences(state, names, walk) {
  const called = (wanted, at = 0) => {
    const name = played(state, wanted)[at] ?? wanted;
    return names.user(state.personas.find((one) => one.name === name)?.id ?? name);
  };
  const person = (wanted, at) => h("b", {}, called(wanted, at));
  return {
    ask: {
      title: "Ask",
      text: [
        "As ",
        person("asker"),
        ", ask Mynah something that nobody has answered yet. It answers in the thread that opens.",
      ],
    },
    correct: {
      title: "Correct it as staff",
      text: [
        "As ",
        person("staff"),
        ", send the right answer as a reply, then press 📝 on it. Or: More actions → “Correct this answer” on Mynah’s.",
      ],
      wait: walk.replied
        ? "Now point at your reply, and press 📝 on it."
        : !walk.question && "First ask Mynah something.",
    },
    again: {
      title: "Ask again in other words",
      text: ["As ", person("asker", 1), ", ask the same differently: Mynah quotes what staff wrote."],
    },
    train: {
      title: "Train",
      text: [
        "As ",
        person("admin"),
        ", let Mynah train on all that it was taught: about 10 minutes, shown at the top. The new version answers only if it measures better.",
      ],
    },
    rollback: {
      title: "Roll back",
      text: ["As ", person("admin"), ", go back to the version before: at once, and nothing is lost."],
    },
  };
}
