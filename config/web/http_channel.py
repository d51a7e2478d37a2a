"""Daphne's HTTP connections with a bound on the time that a request may take to arrive.

Twisted closes a connection on which nothing arrives for a minute. A client that sends a byte now
and then would keep it open without end, with its file descriptor and the bytes received so far. So
the head of a request has a deadline and its body a minimum rate. Responses may take any time.

A head that a proxy reads in one way and we in another can smuggle a second request past the proxy
(RFC 9112, 11.2). So input that only old or hostile clients send is refused: folded header lines, an
unknown Transfer-Encoding, and more than one of them.
"""

from typing import Any

from config.web.response_channel import ResponseChannel

# A phone at the edge of its network needs a few seconds for a head of some kilobytes.
HEAD_WITHIN_S = 20.0
# The minimum average rate of a body once the grace period is over: 1 MB in half an hour.
BODY_BYTES_PER_S = 512
BODY_GRACE_S = 20.0
CHECK_EVERY_S = 5.0

TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Channel(ResponseChannel):
    _deadline: Any = None  # an IDelayedCall
    _in_body = False
    _body_bytes = 0
    _body_since = 0.0

    def dataReceived(self, data: bytes) -> None:
        if self._in_body:
            self._body_bytes += len(data)
        elif self._deadline is None and not self._handlingRequest:
            self._deadline = self.callLater(HEAD_WITHIN_S, self._too_slow)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        if line[:1] in (b" ", b"\t"):
            self._respondToBadRequestAndDisconnect()
            return
        super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:
        name, _, value = line.partition(b":")
        if name.lower() == b"transfer-encoding" and (
            value.strip().lower() != b"chunked"
            or self.requests[-1].requestHeaders.hasHeader("Transfer-Encoding")
        ):
            self._respondToBadRequestAndDisconnect()
            return False
        is_good: bool = super().headerReceived(line)
        return is_good

    def allHeadersReceived(self) -> None:
        self._forget_deadline()
        super().allHeadersReceived()
        if self.length != 0:
            self._in_body, self._body_bytes, self._body_since = True, 0, self._now()
            self._deadline = self.callLater(BODY_GRACE_S, self._check_body_rate)

    def allContentReceived(self) -> None:
        self._forget_deadline()
        super().allContentReceived()

    def connectionLost(self, reason: Any) -> None:
        self._forget_deadline()
        super().connectionLost(reason)

    def _check_body_rate(self) -> None:
        if self._body_bytes < BODY_BYTES_PER_S * (self._now() - self._body_since):
            self._too_slow()
        else:
            self._deadline = self.callLater(CHECK_EVERY_S, self._check_body_rate)

    def _too_slow(self) -> None:
        self._deadline = None
        self.transport.write(TIMED_OUT)
        self.transport.abortConnection()

    def _forget_deadline(self) -> None:
        self._in_body = False
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _now(self) -> float:
        now: float = self.factory.reactor.seconds()
        return now
