from django.contrib import admin
from django.urls import include, path

from accounts.admin.sign_in_form import AdminSignInForm, password_change
from accounts.sign_in.limits import limited_sign_in
from config.web import health
from config.web.csp_reports import csp_reports

admin.site.login_form = AdminSignInForm
admin.site.password_change = password_change  # type: ignore[assignment, method-assign]
admin.site.login = limited_sign_in(admin.site.login, "username")  # type: ignore[method-assign]

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("csp-reports", csp_reports, name="csp-reports"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("account/", include("allauth.urls")),
    path("", include("chat.urls")),
]
handler400 = "chat.web.error_pages.bad_request"
handler404 = "chat.web.error_pages.not_found"
handler500 = "chat.web.error_pages.server_error"
handler429 = "accounts.sign_in.limits.too_many_requests"  # allauth uses it.
