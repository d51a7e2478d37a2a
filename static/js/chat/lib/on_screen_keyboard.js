// Makes room for the keyboard of a phone. Where the keyboard covers the page and the browser does not make
// the page shorter (iOS), this does, so that the end of the chat stays in view.

const LEAST_PX = 80; // a smaller difference is a bar of the browser
const UNZOOMED = 1.01;

/** Sets `--keyboard` on the root to the height that the keyboard covers; returns a function that stops this. */
export function makeRoomForKeyboard(page = globalThis.window) {
  const viewport = page?.visualViewport;
  if (!viewport) return () => {};
  const root = page.document.documentElement;
  const listening = new AbortController();
  let shown = 0;
  const look = () => {
    const covered = viewport.scale < UNZOOMED ? Math.round(page.innerHeight - viewport.height) : 0;
    const height = covered >= LEAST_PX ? covered : 0;
    // The browser has scrolled the page to show the field, which is not needed any more.
    if (height > 0 && viewport.offsetTop > 0) page.scrollTo(0, 0);
    if (height === shown) return;
    shown = height;
    if (height > 0) root.style.setProperty("--keyboard", `${height}px`);
    else root.style.removeProperty("--keyboard");
  };
  for (const name of ["resize", "scroll"]) viewport.addEventListener(name, look, { signal: listening.signal });
  look();
  return () => listening.abort();
}
