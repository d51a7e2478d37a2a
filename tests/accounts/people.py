"""A visitor who signs up and signs in with the forms of the pages, as a browser does."""

import re

from django.contrib.auth import SESSION_KEY

from tests.accounts.mailbox import code_in

PASSWORD = "a-Long-passphrase-9"
FORM = re.compile(r"<form[^>]*action=\"([^\"]*)\"")


class Visitor:
    def __init__(self, client, mailbox, email="alice@example.org"):
        self.client = client
        self.mailbox = mailbox
        self.email = email

    def post(self, path, **fields):
        return self.client.post(path, fields)

    def sign_up(self, password=PASSWORD, **fields):
        """Submit the form; the mail with the code arrives."""
        response = self.post("/account/signup/", email=self.email, password1=password, **fields)
        assert response.status_code == 302, response.content.decode()
        return response

    def confirm(self):
        code = code_in(self.mailbox.to(self.email.lower()))
        return self.post("/account/confirm-email/", code=code)

    def sign_in(self, password=PASSWORD, **fields):
        return self.post("/account/login/", login=self.email, password=password, **fields)


def is_signed_in(visitor):
    return SESSION_KEY in visitor.client.session
