"""The reason for which a server of tools cannot be used."""


class ToolServerError(Exception):
    """`code` is stable and documented in docs/decisions/tools.md; `sentence` is for the person and
    never quotes the server."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code)
        self.code = code
        self.sentence = sentence
