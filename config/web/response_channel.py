"""HTTP connections that start the next response only when the client has taken the last one.

Twisted buffers everything that is written until the network has room, and handles the next request
of a connection although nobody has read the response before it. Here a response goes through a
`Flow` (config/websocket/flow.py), like the frames of a WebSocket, and is counted with them: by
address, by user and for the process. The application waits for room before it writes more
(config/websocket/daphne_server.py). The next request is handled once the network has the whole
response, and a client that reads none of it is disconnected.
"""

from typing import Any

from django.conf import settings
from twisted.web import http

from config.websocket.flow import Flow
from config.websocket.totals import TOTALS

HTTPChannel: Any = http.HTTPChannel  # Twisted has hardly any types.


class ResponseChannel(HTTPChannel):  # type: ignore[misc]
    requests: list[Any]
    _flow: Flow | None = None  # of the current response
    _written: Any = None  # the request whose response is complete, but partly still buffered
    # IDelayedCalls: they disconnect a client that reads nothing, or does not read the last bytes.
    _stall: Any = None
    _linger: Any = None

    def begin_response(self) -> Flow:
        """Count and slow down all that is written until the end of this response."""
        self._flow = Flow(self.transport, TOTALS, self._cut_off)
        self._flow.share("process", settings.SOCKET_WAITING_BYTES)
        self.registerProducer(self._flow, True)
        return self._flow

    # Called by the request

    def write(self, data: bytes) -> None:
        if self._flow is None:  # A short error, before an application runs.
            super().write(data)
        else:
            self._flow.write(data)

    def writeSequence(self, iovec: list[bytes]) -> None:
        self.write(b"".join(iovec))

    def requestDone(self, request: Any) -> None:
        self._written = request
        self._finish_when_sent()

    def _finish_when_sent(self) -> None:
        """Handle the next request once no byte of this response waits for the client."""
        if self._written is None or self._waitingForTransport:
            return
        if self._flow is not None and not self._flow.is_empty:
            return
        request, self._written = self._written, None
        self._end_flow()
        super().requestDone(request)

    def _end_flow(self) -> None:
        if self._flow is not None:
            self.unregisterProducer()
            self._flow.stopProducing()
            self._flow = None

    # Called by the transport

    def rawDataReceived(self, data: bytes) -> None:
        """Pause at a bound: Twisted would read on without one while a response waits."""
        super().rawDataReceived(data)
        is_waiting = self._handlingRequest and self._waitingForTransport
        if is_waiting and sum(map(len, self._dataBuffer)) > self._optimisticEagerReadSize:
            self._networkProducer.pauseProducing()

    def pauseProducing(self) -> None:
        super().pauseProducing()
        if self._stall is None:
            self._stall = self.callLater(_stall_s(), self._cut_off)

    def resumeProducing(self) -> None:
        self._forget_stall()
        super().resumeProducing()
        self._finish_when_sent()

    def loseConnection(self) -> None:
        """Close once the rest of the response is sent. It may take as long as any part of it."""
        super().loseConnection()
        if self._linger is None:
            self._linger = self.callLater(_stall_s(), self._cut_off)

    def connectionLost(self, reason: Any) -> None:
        self._forget_stall()
        _cancel(self._linger)
        if self._written is not None:  # Daphne has finished it.
            self.requests.remove(self._written)
            self._written = None
        self._end_flow()
        super().connectionLost(reason)
        self.requests.clear()  # The requests refer to this channel.

    def _forget_stall(self) -> None:
        _cancel(self._stall)
        self._stall = None

    def _cut_off(self) -> None:
        self.transport.abortConnection()


def _cancel(call: Any) -> None:
    if call is not None and call.active():
        call.cancel()


def _stall_s() -> float:
    limit_ms: int = settings.SOCKET_STALL_TIMEOUT_MS
    return limit_ms / 1000
