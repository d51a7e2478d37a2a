from django.urls import path

from chat.files import pages as file_pages
from chat.files import serving
from chat.files import views as file_views
from chat.files.speaking import views as speech_views
from chat.files.spoken import live as spoken_live
from chat.projects import views as project_views
from chat.web import app_shell, draft_views, export_views, frame_views, list_views, views

app_name = "chat"
urlpatterns = [
    path("", views.page, name="page"),
    path("c/<uuid:chat_id>", views.page, name="chat-page"),
    path("preview/<str:kind>", frame_views.frame, name="frame"),
    path("shell", app_shell.shell, name="shell"),
    path("service-worker.js", app_shell.service_worker, name="service-worker"),
    path("manifest.webmanifest", app_shell.manifest, name="manifest"),
    path("api/drafts", draft_views.draft_list, name="drafts"),
    path("api/models", views.models, name="models"),
    path("api/chats", list_views.chat_list, name="chats"),
    path("api/chats/<uuid:chat_id>", views.chat, name="chat"),
    path("api/chats/<uuid:chat_id>/events", views.events, name="events"),
    path("api/chats/<uuid:chat_id>/export", export_views.export, name="export"),
    path("api/chats/<uuid:chat_id>/pin", list_views.pin, name="pin"),
    path("api/chats/<uuid:chat_id>/archive", list_views.archive, name="archive"),
    path("api/chats/<uuid:chat_id>/project", project_views.chat_project, name="chat-project"),
    path("api/chats/<uuid:chat_id>/restore", list_views.restore, name="restore"),
    path("api/chats/<uuid:chat_id>/read", list_views.read, name="read"),
    path("api/chats/<uuid:chat_id>/keep", list_views.keep, name="keep"),
    path("api/chats/<uuid:chat_id>/leave", list_views.leave, name="leave"),
    path("settings/files", file_pages.files, name="files-page"),
    path("settings/files/<uuid:file_id>/delete", file_pages.delete, name="file-delete"),
    path("api/files", file_views.file_list, name="files"),
    path("api/files/<uuid:file_id>", file_views.file, name="file"),
    path("api/files/<uuid:file_id>/parts/<int:number>", file_views.part, name="file-part"),
    path(
        "api/files/<uuid:file_id>/wav/parts/<int:number>",
        file_views.part,
        {"rendition": "wav"},
        name="file-wav-part",
    ),
    path("api/files/<uuid:file_id>/transcribe", file_views.transcribe, name="file-transcribe"),
    path("api/files/<uuid:file_id>/complete", file_views.complete, name="file-complete"),
    path("files/<uuid:file_id>/live", spoken_live.live, name="file-live"),
    path("files/<uuid:file_id>/<str:name>", serving.rendition, name="file-rendition"),
    path("api/projects", project_views.project_list, name="projects"),
    path("api/projects/<uuid:project_id>", project_views.project, name="project"),
    path("api/search", list_views.search, name="search"),
    path("api/chats/<uuid:chat_id>/branch", views.branch, name="branch"),
    path("api/chats/<uuid:chat_id>/messages", views.messages, name="messages"),
    path(
        "api/chats/<uuid:chat_id>/messages/<uuid:reply_id>/speech",
        speech_views.speech,
        name="speech",
    ),
    path("api/chats/<uuid:chat_id>/replies", views.replies, name="replies"),
    path("api/chats/<uuid:chat_id>/replies/<uuid:reply_id>/stop", views.stop, name="stop"),
    path(
        "api/chats/<uuid:chat_id>/replies/<uuid:reply_id>/attempts",
        views.attempts,
        name="attempts",
    ),
    path("api/chats/<uuid:chat_id>/replies/<uuid:reply_id>/rating", views.rating, name="rating"),
]
