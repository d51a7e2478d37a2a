from django.urls import path

from billing.pages import usage_views, views
from billing.payments.webhook_view import stripe_webhook

app_name = "billing"
urlpatterns = [
    path("billing", views.overview, name="overview"),
    path("billing/history.csv", views.history_csv, name="history-csv"),
    path("billing/usage", usage_views.usage, name="usage"),
    path("billing/usage.csv", usage_views.usage_csv, name="usage-csv"),
    path("billing/top-ups", views.top_ups, name="top-ups"),
    path("billing/top-ups/<uuid:top_up_id>", views.top_up, name="top-up"),
    path("billing/stripe-webhook", stripe_webhook, name="stripe-webhook"),
]
