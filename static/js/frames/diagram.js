// Inside the frame of a diagram (chat/web/frame_views.py): draws the Mermaid source that the page sends. No script
// but this one and Mermaid may run here, whatever the source contains.
addEventListener("message", ({ data, ports: [port], source }) => {
  if (!port || source !== parent) return;
  port.onmessage = () => port.postMessage("alive");
  port.postMessage("alive");
  document.documentElement.style.colorScheme = data.isDark ? "dark" : "light";
  void draw(data).then((height) => port.postMessage({ height }));
}, { once: true });

/** Returns the height that the diagram, or what is wrong with it, needs. */
async function draw({ code, isDark }) {
  const { mermaid } = globalThis;
  mermaid.initialize({ startOnLoad: false, securityLevel: "strict", theme: isDark ? "dark" : "default", suppressErrorRendering: true });
  try {
    const { svg } = await mermaid.render("diagram", code);
    document.body.innerHTML = svg;
  } catch (error) {
    const problem = document.createElement("pre");
    problem.textContent = error?.message ?? String(error);
    document.body.replaceChildren(problem);
  }
  return Math.ceil(document.body.getBoundingClientRect().height);
}
