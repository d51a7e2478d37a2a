"""Why a file is refused."""


class Refused(Exception):
    """`reason` is one of chat/files/reading/results.py: REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
