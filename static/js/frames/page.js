// Inside the frame of a preview (chat/web/frame_views.py): shows the HTML or SVG that the page sends. The frame
// has an origin of its own and no network. What is shown here can do what it likes within the frame, so nothing
// of this script is left where it could be reached: the port to the page is only in this function.
(() => {
  const SVG = /^\s*(?:<\?xml[^>]*>\s*)?(?:<!doctype svg[^>]*>\s*)?(?:<!--(?:(?!-->)[^])*-->\s*)*<svg[\s>]/i;
  const DOCTYPE = /^\s*(?:<!--(?:(?!-->)[^])*-->\s*)*<!doctype/i;
  const CENTRED = "<style>body{margin:0;display:grid;place-items:center;min-height:100vh}svg{max-width:100%;max-height:100vh}</style>";

  // Of all that can reach the network, policies do not cover this one.
  for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection"]) delete globalThis[name];

  addEventListener("message", ({ data, ports: [port], source }) => {
    if (!port || source !== parent) return;
    // A script in the preview may replace the methods of ports later; these are taken before it runs.
    const answer = port.postMessage.bind(port);
    port.onmessage = () => answer("alive");
    answer("alive");
    const head = DOCTYPE.test(data.code) ? "" : "<!doctype html>";
    document.open();
    document.write(SVG.test(data.code) ? `<!doctype html>${CENTRED}${data.code}` : head + data.code);
    document.close();
  }, { once: true });
})();
