/** What happens behind the scenes, in one line: who answers, what was learned, what is trained. */
import { h } from "./dom.js";
import { useTheme } from "./theme.js";

/** The line. `drawer` says whether "What Bolt sees" is open, `toggleDrawer` opens and closes it. */
export function Strip({ state, drawer, toggleDrawer }) {
  const [dark, toggleTheme] = useTheme();
  const theme = dark ? "Switch to light" : "Switch to dark";
  return h(
    "section",
    { class: "strip", "aria-label": "Behind the scenes" },
    h("ul", { class: "facts" }, ...facts(state)),
    h("p", { class: "hidden", role: "status" }, words(state)),
    h(
      "button",
      {
        type: "button",
        class: "strip-button",
        id: "drawer-button",
        "aria-expanded": String(drawer),
        onClick: toggleDrawer,
      },
      "What Bolt sees",
    ),
    h(
      "button",
      { type: "button", class: "strip-button", "aria-label": theme, title: theme, onClick: toggleTheme },
      dark ? "☀" : "☾",
    ),
  );
}

function facts({ sockets, behind }) {
  const line = sockets ? "Mynah connected" : "No bot connected";
  const found = [h("li", { class: sockets ? "line on" : "line off" }, line)];
  if (!behind) return [...found, h("li", { class: "quiet" }, "No Mynah store here")];
  const { live, memory, run, gate, paused } = behind;
  return [
    ...found,
    live && h("li", {}, h("b", {}, live), " answers"),
    h("li", {}, h("b", {}, String(memory)), " learned"),
    run && running(run),
    gate &&
      h(
        "li",
        {},
        "last gate: ",
        h(
          "b",
          { class: gate.passed ? "gate-passed" : gate.enough === false ? null : "gate-failed" },
          verdict(gate),
        ),
      ),
    paused && h("li", { class: "paused" }, "paused"),
  ];
}

function running({ id, phase, progress }) {
  const known = typeof progress === "number";
  return h(
    "li",
    { class: "run" },
    `run ${id} ${phase}`,
    h("progress", { max: "1", value: known ? String(progress) : null, "aria-label": `Run ${id}` }),
    known && `${Math.round(progress * 100)} %`,
  );
}

/** What a screen reader is told when it changes: not each step of the progress. */
function words({ sockets, behind }) {
  if (!behind) return sockets ? "Mynah connected" : "No bot connected";
  const { live, memory, run, gate, paused } = behind;
  const parts = [
    sockets ? "Mynah connected" : "No bot connected",
    live && `${live} answers`,
    `${memory} learned`,
    run && `run ${run.id} ${run.phase}`,
    gate && `last gate: ${verdict(gate)}`,
    paused && "paused",
  ];
  return parts.filter(Boolean).join(", ");
}

function verdict({ passed, enough, score }) {
  const how = passed ? "passed" : enough === false ? "not enough to tell" : "not passed";
  return `${how} ${score ?? ""}`.trim();
}
