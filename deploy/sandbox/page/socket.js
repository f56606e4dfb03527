/** The WebSocket to the sandbox; `deploy/sandbox/live.py` is its other end. */
const AGAIN_MS = 1000;
const NOT_HERE = 4004;

/**
 * Stay connected as a person.
 *
 * heard: called with each thing that the sandbox says.
 * lost: called when it is gone, with a reason where it named one; it is tried again by itself.
 *
 * Returns {say, leave}: say something, or leave for good.
 */
export function connect({ as, team }, { heard, lost }) {
  let socket = null;
  let left = false;
  let timer = null;

  function open() {
    const query = new URLSearchParams({ as, team });
    socket = new WebSocket(`ws://${location.host}/page/live?${query}`);
    socket.onmessage = (event) => !left && heard(JSON.parse(event.data));
    socket.onclose = (event) => {
      if (left) return;
      lost(event.code === NOT_HERE ? event.reason : "");
      if (event.code !== NOT_HERE) timer = setTimeout(open, AGAIN_MS);
    };
  }

  open();
  return {
    say: (what) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(what)),
    leave() {
      left = true;
      clearTimeout(timer);
      socket.close();
    },
  };
}
