"""What bounds the answers of an HTTP connection: the client takes one before the next is made.

Twisted keeps whatever is written until the network has room, and answers the next request of a
connection although nobody has read the answer before it. Here an answer goes through a `Flow`
(config/websocket/flow.py), as the messages of a WebSocket do, and is counted with them: by address,
by person and for the process. The application that makes it waits for room
(config/websocket/daphne_server.py). The next request of the connection is looked at once all of the
answer is with the network, and a client that takes nothing of it is cut off.
"""

from typing import Any

from django.conf import settings
from twisted.web import http

from config.websocket.flow import Flow
from config.websocket.totals import TOTALS

HTTPChannel: Any = http.HTTPChannel  # It has hardly any types.


class ResponseChannel(HTTPChannel):  # type: ignore[misc]
    requests: list[Any]
    _flow: Flow | None = None  # of the answer under way
    _written: Any = None  # the request whose answer is whole, but not with the network yet
    # IDelayedCalls: the end of a client that takes nothing, and of a connection that was closed.
    _stall: Any = None
    _linger: Any = None

    def begin_response(self) -> Flow:
        """Count and slow down what is written from here to the end of this answer."""
        self._flow = Flow(self.transport, TOTALS, self._cut_off)
        self._flow.share("process", settings.SOCKET_WAITING_BYTES)
        self.registerProducer(self._flow, True)
        return self._flow

    # Called by the request

    def write(self, data: bytes) -> None:
        if self._flow is None:  # Short errors that come before an application.
            super().write(data)
        else:
            self._flow.write(data)

    def writeSequence(self, iovec: list[bytes]) -> None:
        self.write(b"".join(iovec))

    def requestDone(self, request: Any) -> None:
        self._written = request
        self._go_on()

    def _go_on(self) -> None:
        """Look at the next request, if nothing of this answer waits for the client any more."""
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
        """Twisted goes on reading while an answer waits for its client, without end."""
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
        self._go_on()

    def loseConnection(self) -> None:
        """What is left of the answer has as long as any part of it."""
        super().loseConnection()
        if self._linger is None:
            self._linger = self.callLater(_stall_s(), self._cut_off)

    def connectionLost(self, reason: Any) -> None:
        self._forget_stall()
        _cancel(self._linger)
        if self._written is not None:  # It is over for Daphne, too.
            self.requests.remove(self._written)
            self._written = None
        self._end_flow()
        super().connectionLost(reason)
        self.requests.clear()  # They hold this channel in turn.

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
