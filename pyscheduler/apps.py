from django.apps import AppConfig


class PySchedulerConfig(AppConfig):
    name = "pyscheduler"
