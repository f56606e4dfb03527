/** What somebody has begun to write, by place, while they look elsewhere. */
const begun = new Map();
const boxes = new Map(); // place → what sets the text of the box that is drawn for it
let wanted = ""; // where somebody is about to write

/** The text that was begun in a place. */
export const draft = (place) => begun.get(place) ?? "";

/** Keep what is written in a place. */
export function keep(place, text) {
  if (text) begun.set(place, text);
  else begun.delete(place);
}

/** Write in a thread that is open, or that opens next. */
export function focusReply(place) {
  wanted = place;
  document.getElementById("reply")?.focus();
}

/** Whether somebody waits to write in the box that is drawn now: "channel:thread". */
export function isWanted(place) {
  const was = wanted === place;
  if (was) wanted = "";
  return was;
}

/** Have `set` called with what is written into a place for somebody. Returns an end. */
export function onFill(place, set) {
  boxes.set(place, set);
  return () => boxes.get(place) === set && boxes.delete(place);
}

/** Write into a place's box, or into the one that is drawn for it next. */
export function fillIn(place, box, text) {
  keep(place, text);
  wanted = box;
  boxes.get(place)?.(text);
}
