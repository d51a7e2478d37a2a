// Tests whether a WebSocket gets through, beside a connection over HTTP.

const WITHIN_MS = 6_000;

/**
 * @param onGood (socket, welcome) => messages pass in both directions; the caller takes the socket over
 * @param onBad () => nothing gets through
 * @returns a function that ends the test
 */
export function probeWebSocket(socket, { onGood, onBad }) {
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
      end(() => onGood(socket, welcome));
    }
  };
  return () => {
    if (isOver) return;
    drop();
    end();
  };
}
