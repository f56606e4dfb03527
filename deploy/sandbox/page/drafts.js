/** What somebody has begun to write, by place, while they look elsewhere. */
const begun = new Map();
let wanted = ""; // the thread in which somebody is about to write

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

/** Whether somebody waits to write in the thread whose box is drawn now. */
export function isWanted(place) {
  const was = wanted === place;
  if (was) wanted = "";
  return was;
}
