/** What Bolt sees: each event, call, acknowledgement and retry, and what may go wrong on demand. */
import { control, look } from "./api.js";
import { hue } from "./avatar.js";
import { h } from "./dom.js";
import { keep, kept } from "./preferences.js";
import { Scroller } from "./scroller.js";
import { toast } from "./toasts.js";
import { useEffect, useMemo, useRef, useState } from "./vendor/hooks.mjs";
import { Component } from "./vendor/preact.mjs";

const FAULTS = [
  {
    name: "duplicate",
    title: "Send the next event twice",
    about: "It is answered once, not twice.",
    order: more,
  },
  {
    name: "drop_ack",
    title: "Lose the next acknowledgement",
    about: "It is sent again, and handled once.",
    order: more,
  },
  {
    name: "rate_limit",
    title: "Answer the next post with 429",
    about: "Mynah waits 2 s and posts again.",
    order: limit,
  },
  {
    name: "refresh_socket",
    title: "Refresh the socket",
    about: "Mynah connects anew, and nothing is lost.",
    order: once,
  },
  {
    name: "expire_stream",
    title: "Expire the next stream",
    about: "The answer still comes whole.",
    order: more,
  },
];
const KINDS = { all: "All", events: "Events", calls: "Calls" };
const SIGNS = { event: "→", retry: "↻", ack: "✓", gave_up: "✗", call: "←", socket: "⇄" };
const SAID = {
  event: "event",
  retry: "sent again",
  ack: "acknowledged",
  gave_up: "given up",
  call: "call",
  socket: "socket",
};

/** The panel; `close` puts it away, `narrow` says that it covers the rest. */
export function Drawer({ state, narrow, close }) {
  const [kind, setKind] = useState("all");
  const [text, setText] = useState("");
  const heading = useRef(null);
  useEffect(() => void (narrow && heading.current.focus()), [narrow]);
  const keys = (event) => event.key === "Escape" && !text && close();
  const kinds = Object.entries(KINDS).map(([name, label]) =>
    h(
      "button",
      { type: "button", key: name, "aria-pressed": String(kind === name), onClick: () => setKind(name) },
      label,
    ),
  );
  return h(
    "aside",
    { class: "drawer", "aria-labelledby": "drawer-title", onKeyDown: keys },
    h(
      "header",
      { class: "top" },
      h("h2", { id: "drawer-title", ref: heading, tabindex: "-1" }, "What Bolt sees"),
      h(
        "button",
        { type: "button", class: "close plain", "aria-label": "Close what Bolt sees", onClick: close },
        "✕",
      ),
    ),
    h("p", { class: "about" }, "All that the app hears and says, whoever you are."),
    h(Faults, { left: state.faults }),
    h(
      "div",
      { class: "log-filters" },
      h("div", { class: "kinds", role: "group", "aria-label": "Which entries" }, ...kinds),
      h("input", {
        type: "search",
        class: "field",
        placeholder: "Filter",
        "aria-label": "Filter the log",
        value: text,
        onInput: (event) => setText(event.target.value),
      }),
    ),
    h(Log, { log: state.log, kind, text, only: setText }),
  );
}

function Faults({ left }) {
  const [open, setOpen] = useState(kept("faults-open", true));
  const toggled = (event) => {
    setOpen(event.target.open);
    keep("faults-open", event.target.open);
  };
  const order = (what) => control("faults", what).catch(toast);
  const some = FAULTS.some(({ name }) => left[name] > 0);
  return h(
    "details",
    { class: "faults", open, onToggle: toggled },
    h("summary", {}, "Let something go wrong"),
    h(
      "ul",
      {},
      ...FAULTS.map((fault) =>
        h("li", { key: fault.name }, faultButton(fault, left[fault.name] ?? 0, order)),
      ),
    ),
    some && h("button", { type: "button", class: "button", onClick: () => order({ clear: true }) }, "Clear"),
  );
}

function faultButton({ name, title, about, order: ordered }, left, order) {
  return h(
    "button",
    { type: "button", class: `fault${left ? " armed" : ""}`, onClick: () => order(ordered(name, left)) },
    h("span", { class: "fault-title" }, title),
    left > 0 && h("span", { class: "fault-left" }, `${left} left`),
    h("small", {}, about),
  );
}

// What the control API is asked for.
function more(name, left) {
  return { [name]: left + 1 };
}

function once(name) {
  return { [name]: true };
}

function limit(name) {
  return { [name]: { method: "chat.postMessage", n: 1, retry_after: 2 } };
}

/** The entries. It is drawn again only when they or the filter change. */
class Log extends Component {
  shouldComponentUpdate(next) {
    return ["log", "kind", "text"].some((name) => next[name] !== this.props[name]);
  }

  render({ log, kind, text, only }) {
    const shown = log.filter((entry) => ofKind(entry, kind) && says(entry, text));
    const rows = shown.map((entry, at) =>
      h(Row, { key: entry.n, entry, goesOn: Boolean(entry.id) && shown[at - 1]?.id === entry.id, only }),
    );
    return h(
      Scroller,
      { label: "The log", newest: shown.at(-1)?.n },
      h(
        "div",
        { role: "log", "aria-live": "off", "aria-label": "What Bolt sees" },
        rows.length > 0 ? h("ol", { class: "log" }, ...rows) : h("p", { class: "empty" }, empty(log)),
      ),
    );
  }
}

function empty(log) {
  return log.length ? "Nothing here is like that." : "Nothing has passed between Slack and Bolt yet.";
}

/** One entry, and all of it when it is opened. */
class Row extends Component {
  state = { open: false };

  shouldComponentUpdate(next, state) {
    return (
      next.entry !== this.props.entry || next.goesOn !== this.props.goesOn || state.open !== this.state.open
    );
  }

  render({ entry, goesOn, only }, { open }) {
    const { kind, title, detail, ok, id, ms, error } = entry;
    const classes = [
      "entry-row",
      kind,
      goesOn && "goes-on",
      ok === false && "not-ok",
      (kind === "retry" || entry.copy) && "repeated",
    ];
    return h(
      "li",
      { class: classes.filter(Boolean).join(" "), "data-n": String(entry.n), "data-id": id },
      id && h("span", { class: `thread-bar hue-${hue(id)}`, "aria-hidden": "true" }),
      h(
        "button",
        {
          type: "button",
          class: "entry-line",
          "aria-expanded": String(open),
          onClick: () => this.setState({ open: !open }),
        },
        h("time", {}, moment(entry.at)),
        h("span", { class: "entry-sign", "aria-hidden": "true" }, SIGNS[kind]),
        h(
          "span",
          { class: "entry-title" },
          h("span", { class: "hidden" }, `${SAID[kind]} `),
          h("b", {}, title),
          detail && ` ${detail}`,
          ...notes(entry),
        ),
        ms !== undefined && h("span", { class: "entry-ms" }, ms < 1 ? "<1 ms" : `${Math.round(ms)} ms`),
        error && h("span", { class: "entry-error" }, error),
      ),
      open && h(Whole, { n: entry.n, id, only }),
    );
  }
}

/** Why an entry is there once more. */
function notes({ kind, attempt, reason, copy }) {
  if (copy) return [h("em", {}, " the same once more")];
  if (kind === "retry") return [h("em", {}, ` attempt ${attempt}${reason ? `: ${reason}` : ""}`)];
  return [];
}

/** What was sent and answered, word for word. */
function Whole({ n, id, only }) {
  const [found, setFound] = useState(null);
  const [copied, setCopied] = useState(false);
  useEffect(
    () => void look(`log/${n}`, {}).then(setFound, (error) => setFound({ error: error.message })),
    [n],
  );
  const json = useMemo(() => JSON.stringify(found, null, 2), [found]);
  const copy = () => navigator.clipboard.writeText(json).then(() => setCopied(true), toast);
  if (!found) return h("p", { class: "quiet" }, "…");
  return h(
    "div",
    { class: "whole" },
    h("button", { type: "button", class: "plain", onClick: copy }, copied ? "Copied" : "Copy"),
    id && h("button", { type: "button", class: "plain", onClick: () => only(id) }, "Only this event"),
    h("pre", { tabindex: "0", "aria-label": `Entry ${n}` }, json),
  );
}

function ofKind(entry, kind) {
  return kind === "all" || (kind === "calls") === (entry.kind === "call");
}

function says(entry, text) {
  const words = [entry.title, entry.detail, entry.error, entry.channel, entry.ts, entry.id, SAID[entry.kind]];
  return !text || words.join(" ").toLowerCase().includes(text.trim().toLowerCase());
}

/** 12:03:07.250 */
function moment(at) {
  const time = new Date(at * 1000);
  const clock = time.toLocaleTimeString("en-GB", { hourCycle: "h23" });
  return `${clock}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
