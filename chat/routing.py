from typing import Any, cast

from django.urls import path

from chat.consumers import ChatConsumer

# Channels routes with Django's patterns, whose types know views only.
websocket_urlpatterns = [path("ws", cast(Any, ChatConsumer.as_asgi()))]
