/** What scrolls: it stays at its end while somebody is there, and brings more at its beginning. */
import { h } from "./dom.js";
import { useEffect, useLayoutEffect, useRef } from "./vendor/hooks.mjs";

const NEAR_PX = 60;

/**
 * label: what is in it, for a screen reader.
 * more: whether there is more before its beginning; `bringMore` brings it.
 * newest: changes when something new stands at its end.
 * oldest: changes when more stands at its beginning; what is seen stays in its place then.
 */
export function Scroller({ label, more = false, bringMore, newest, oldest, children }) {
  const box = useRef(null);
  const inner = useRef(null);
  const atEnd = useRef(true);
  const bringing = useRef(false);
  const fromEnd = useRef(0); // where somebody was when more was asked for

  // Whoever changes a message has it before their eyes, whatever comes below.
  const edits = () => inner.current?.contains(document.activeElement?.closest(".editor") ?? null);
  const toEnd = () => atEnd.current && !edits() && box.current?.scrollTo({ top: box.current.scrollHeight });
  useLayoutEffect(() => void toEnd(), [newest]);
  useLayoutEffect(() => {
    if (fromEnd.current) box.current.scrollTop = box.current.scrollHeight - fromEnd.current;
    fromEnd.current = 0;
  }, [oldest]);
  useEffect(() => {
    const grown = new ResizeObserver(toEnd); // an answer that is streamed, a picture that has come
    grown.observe(inner.current);
    grown.observe(box.current);
    return () => grown.disconnect();
  }, []);

  async function scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (!more || bringing.current || scrollTop > clientHeight) return;
    bringing.current = true;
    fromEnd.current = scrollHeight - scrollTop;
    await bringMore().finally(() => (bringing.current = false));
  }

  return h(
    "div",
    { class: "scroller", ref: box, onScroll: scrolled, tabindex: "0", role: "region", "aria-label": label },
    h("div", { ref: inner }, children),
  );
}
