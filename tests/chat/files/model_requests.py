"""What a request to a model has of files."""

import base64
import io

from PIL import Image


def last_message(fake_model):
    return fake_model.requests[-1]["body"]["messages"][-1]


def texts(message):
    """All texts of a message in a request."""
    if isinstance(message["content"], str):
        return message["content"]
    return "\n".join(part["text"] for part in message["content"] if part["type"] == "text")


def pictures(message):
    """The pictures of a message in a request, decoded."""
    if isinstance(message["content"], str):
        return []
    urls = [p["image_url"]["url"] for p in message["content"] if p["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]
