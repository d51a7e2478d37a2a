"""A real SMTP server that keeps the mails it receives."""

import contextlib
import email
import email.policy
import re
import socket
import threading
import time
from collections.abc import Iterator

from aiosmtpd.controller import Controller


class Mailbox:
    def __init__(self):
        self.mails = []
        self._arrived = threading.Condition()
        self.port = 0

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        with self._arrived:
            self.mails.append((envelope.rcpt_tos[0], mail))
            self._arrived.notify_all()
        return "250 OK"

    def to(self, address, timeout_s=10):
        """Wait for mail to an address; removes and returns the newest."""
        deadline = time.monotonic() + timeout_s
        with self._arrived:
            while True:
                for number in range(len(self.mails) - 1, -1, -1):
                    if self.mails[number][0] == address:
                        return self.mails.pop(number)[1]
                assert self._arrived.wait(deadline - time.monotonic()), f"no mail to {address}"


def text_of(mail):
    return mail.get_body(("plain",)).get_content().replace("\r\n", "\n")


def html_of(mail):
    return mail.get_body(("html",)).get_content()


def code_in(mail):
    [code] = re.findall(r"^\d{6}$", text_of(mail), re.MULTILINE)
    return code


@contextlib.contextmanager
def running_mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        box.port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
