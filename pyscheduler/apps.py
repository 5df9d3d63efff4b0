from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class PySchedulerConfig(AppConfig):
    name = "pyscheduler"
    default = True


class PlatformAdminConfig(admin_apps.AdminConfig):
    default_site = "accounts.site.PlatformSite"
    default = False
