from django.urls import path

from accounts import views

app_name = "accounts"
urlpatterns = [
    path("settings", views.settings_index, name="settings"),
    path("settings/activity", views.security_events, name="security-events"),
    path("settings/sessions", views.sessions, name="sessions"),
]
