// Tries whether a WebSocket gets through, beside a connection that goes another way.

const WITHIN_MS = 6_000;

/**
 * @param onGood (socket, welcome) => messages come and go: the socket is yours
 * @param onBad () => nothing gets through; gives a function that ends the try
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
