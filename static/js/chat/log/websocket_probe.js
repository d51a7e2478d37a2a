// Tests whether a WebSocket gets through, beside a connection over HTTP.

const WITHIN_MS = 6_000;

/**
 * @param {WebSocket} socket
 * @param {object} handlers
 * @param {(socket: WebSocket, welcome: string) => void} handlers.onGood messages pass in both directions; the
 *   caller takes the socket over
 * @param {() => void} handlers.onBad nothing gets through
 * @returns {() => void} a function that ends the test
 */
export function probeWebSocket(socket, { onGood, onBad }) {
  /** @type {string | null} */
  let welcome = null;
  let isOver = false;
  const drop = () => socket.readyState < 2 && socket.close(1000);
  const timer = setTimeout(() => (drop(), end(onBad)), WITHIN_MS);
  const end = (tell = () => {}) => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    socket.onclose = socket.onmessage = null;
    tell();
  };
  socket.onclose = () => end(onBad);
  socket.onmessage = ({ data }) => {
    const { type } = JSON.parse(data);
    if (type === "welcome") {
      welcome = data;
      socket.send(JSON.stringify({ type: "ping" }));
    } else if (type === "pong" && welcome) {
      const received = welcome;
      end(() => onGood(socket, received));
    }
  };
  return () => {
    if (isOver) return;
    drop();
    end();
  };
}
