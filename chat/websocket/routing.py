from typing import Any, cast

from django.urls import path

from chat.websocket.consumer import ChatConsumer
from chat.websocket.polling import follow_over_http

# Channels routes with Django's patterns, whose types know views only.
websocket_urlpatterns = [path("ws", cast(Any, ChatConsumer.as_asgi()))]
# What is served beside Django (chat/websocket/polling.py says why).
http_urlpatterns = [path("api/follow", cast(Any, follow_over_http))]
