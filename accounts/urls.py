from django.urls import path

from accounts import views
from accounts.personal_data import views as data_views
from accounts.preferences import api as settings_api
from accounts.preferences import picture_views
from accounts.preferences import views as settings_page
from accounts.provider_keys import views as key_views
from accounts.push import views as push_views
from accounts.saved_prompts import views as prompt_views

app_name = "accounts"
urlpatterns = [
    path("settings", settings_page.settings_page, name="settings"),
    path("settings/account", views.account, name="account"),
    path("settings/activity", views.security_events, name="security-events"),
    path("settings/keys", key_views.keys, name="keys"),
    path("settings/keys/<uuid:key_id>", key_views.key, name="key"),
    path("settings/prompts", prompt_views.prompts, name="prompts"),
    path("settings/prompts/new", prompt_views.prompt, name="prompt-new"),
    path("settings/prompts/<uuid:prompt_id>", prompt_views.prompt, name="prompt"),
    path("settings/prompts/<uuid:prompt_id>/delete", prompt_views.remove, name="prompt-delete"),
    path("settings/sessions", views.sessions, name="sessions"),
    path("settings/data", data_views.data, name="data"),
    path("settings/data/status", data_views.export_status, name="export-status"),
    path("settings/data/export", data_views.ask_for_export, name="ask-for-export"),
    path("settings/data/export/remove", data_views.remove_export, name="remove-export"),
    path("settings/data/download", data_views.download, name="download"),
    path("settings/data/delete", data_views.delete, name="delete"),
    path("settings/leaving", data_views.keep, name="keep"),
    path("api/settings", settings_api.settings_view, name="api-settings"),
    path("api/prompts", prompt_views.api_prompts, name="api-prompts"),
    path("api/push", push_views.subscription, name="api-push"),
    path("api/settings/picture", settings_api.picture, name="api-picture"),
    # `name` comes from picture_files: 32 hexadecimal digits.
    path("pictures/<slug:name>-<int:size>", picture_views.picture, name="picture"),
]
