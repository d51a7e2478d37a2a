"""The network to a client that reads only when a test says so."""

from twisted.internet.testing import StringTransport


class SlowTransport(StringTransport):
    """A transport that pauses its producer, like Twisted's, until the client reads."""

    def __init__(self):
        super().__init__()
        self.taken = b""
        self.is_reading = True
        self.is_cut = False

    def write(self, data):
        super().write(data)
        if len(self.value()) > 65_536 and self.producer:
            self.producer.pauseProducing()

    def unregisterProducer(self):
        self.producer = None

    def read(self):
        self.taken += self.value()
        self.clear()
        if self.producer:
            self.producer.resumeProducing()

    def pauseProducing(self):
        self.is_reading = False

    def resumeProducing(self):
        self.is_reading = True

    def abortConnection(self):
        self.is_cut = True
