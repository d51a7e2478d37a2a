from typing import Any, cast

from django.urls import path

from chat.websocket.consumer import ChatConsumer
from chat.websocket.polling import follow_over_http

# Channels routes with Django's patterns, whose types only allow views.
websocket_urlpatterns = [path("ws", cast(Any, ChatConsumer.as_asgi()))]
# Served outside Django (chat/websocket/polling.py explains why).
http_urlpatterns = [path("api/follow", cast(Any, follow_over_http))]
