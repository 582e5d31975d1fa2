"""Django's admin with our site as the default one."""

from django.contrib.admin.apps import AdminConfig


class PortalAdminConfig(AdminConfig):
    """Apps register with `admin.register` as usual and land on our site."""

    default_site = "consortium.kernel.admin_site.PortalAdminSite"
