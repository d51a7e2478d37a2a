import { useLayoutEffect, useRef } from "../../preact.js";

const DURATION_MS = 280;

/**
 * Lets the composer glide from the middle of the empty page to its place below a chat. The layout changes at once;
 * only a transform is animated, so nothing is laid out in the frames between.
 * @param dock the ref of the element with the composer
 * @returns a function to call when a message is sent, before the page is drawn again
 */
export function useGlide(dock, isInChat) {
  const before = useRef(null);
  useLayoutEffect(() => {
    const from = before.current;
    before.current = null;
    if (from === null || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const easing = getComputedStyle(dock.current).getPropertyValue("--ease");
    dock.current.animate([{ transform: `translateY(${from - topOf(dock.current)}px)` }, { transform: "none" }], { duration: DURATION_MS, easing });
  }, [isInChat]);
  return () => (before.current = isInChat ? null : topOf(dock.current));
}

const topOf = (element) => element.querySelector(".composer").getBoundingClientRect().top;
