from django.urls import path

from accounts import picture_views, settings_api, settings_page, views

app_name = "accounts"
urlpatterns = [
    path("settings", settings_page.settings_page, name="settings"),
    path("settings/account", views.account, name="account"),
    path("settings/activity", views.security_events, name="security-events"),
    path("settings/sessions", views.sessions, name="sessions"),
    path("api/settings", settings_api.settings_view, name="api-settings"),
    path("api/settings/picture", settings_api.picture, name="api-picture"),
    # The name is made by us: 32 hexadecimal digits.
    path("pictures/<slug:name>-<int:size>", picture_views.picture, name="picture"),
]
