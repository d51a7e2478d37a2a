"""The reasons for which a request about chats is refused.

ChatError
├── BadRequest            400  the body is not what docs/protocol.md says
├── ChatNotFound          404  the person has no such chat
├── MessageNotFound       404  the chat has no such message
├── ProjectNotFound       404  the person has no such project
├── TooManyProjects       409  the person has as many projects as one can have
├── IdReused              409  the id names another message already
├── NotPossibleNow        409  the state of the reply does not allow it
├── MessageTooLong        413
├── BodyTooLarge          413  more bytes than any valid request to this address has
├── ChatFull              413  the chat has reached its maximum size
├── ModelUnknown          422  the model is not in the catalogue
├── LogAway               503  the log cannot be written; a placed reply is delivered later
└── SearchTooSlow         503  the search took the database too long

`code` is stable and documented; `message` tells the person what to do.
"""

from http import HTTPStatus

from django.utils.translation import gettext_noop

from accounts.refusals import Refusal


class ChatError(Refusal):
    code = "chat_error"


class BadRequest(ChatError):
    code = "bad_request"
    message = gettext_noop("The request is not in the expected form.")


class ChatNotFound(ChatError):
    code = "chat_not_found"
    status = HTTPStatus.NOT_FOUND
    message = gettext_noop("This chat does not exist, or it is not yours.")


class MessageNotFound(ChatError):
    code = "message_not_found"
    status = HTTPStatus.NOT_FOUND
    message = gettext_noop("This message is not in the chat.")


class ProjectNotFound(ChatError):
    code = "project_not_found"
    status = HTTPStatus.NOT_FOUND
    message = gettext_noop("This project does not exist any more, or it is not yours.")


class TooManyProjects(ChatError):
    code = "too_many_projects"
    status = HTTPStatus.CONFLICT
    message = gettext_noop(
        "You have as many projects as one can have. Delete one that you no longer need."
    )


class IdReused(ChatError):
    code = "id_reused"
    status = HTTPStatus.CONFLICT
    message = gettext_noop("This id already names something else. Reload the page and send again.")


class NotPossibleNow(ChatError):
    code = "not_possible_now"
    status = HTTPStatus.CONFLICT
    message = gettext_noop(
        "The answer has changed in the meantime. Look at the chat and try again."
    )


class MessageTooLong(ChatError):
    code = "message_too_long"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop("This message is too long. Shorten it, or split it in two.")


class BodyTooLarge(ChatError):
    code = "body_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop("This is more than can be sent at once. Make it smaller and try again.")


class ChatFull(ChatError):
    code = "chat_full"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    message = gettext_noop("This chat is as long as one can be. Go on in a new chat.")


class ModelUnknown(ChatError):
    code = "model_unknown"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = gettext_noop("This model is not available any more. Choose another one.")


class LogAway(ChatError):
    code = "log_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = gettext_noop(
        "The chat cannot be stored right now. Try again in a moment: it is not sent twice."
    )


class SearchTooSlow(ChatError):
    code = "search_too_slow"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = gettext_noop("This search takes too long. Use more or longer words.")
