"""The reasons for which an answer is not read aloud.

SpeechUnavailable     409  there is no voice for this person
SpeechLanguage        409  the voice on this machine reads only English
SpeechTooLong         413  the answer has more text than is read aloud
SpeechEmpty           422  the answer has nothing that can be read aloud
"""

from http import HTTPStatus

from django.utils.translation import gettext_noop

from chat.errors import ChatError


class SpeechUnavailable(ChatError):
    code = "speech_unavailable"
    status = HTTPStatus.CONFLICT
    message = gettext_noop("Answers are not read aloud here any more. Reload the page.")


class SpeechLanguage(ChatError):
    code = "speech_language"
    status = HTTPStatus.CONFLICT
    message = gettext_noop("The voice of this site reads only English.")


class SpeechTooLong(ChatError):
    code = "speech_too_long"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop("This answer is too long to be read aloud.")


class SpeechEmpty(ChatError):
    code = "speech_empty"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = gettext_noop("This answer has no text that can be read aloud.")
