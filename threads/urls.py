"""Addresses of the pages about threads."""

from django.urls import path

from threads.views import editing, environment, files, listing, variables

app_name = "threads"
urlpatterns = [
    path("", listing.list_threads, name="list"),
    path("new", listing.create, name="create"),
    path("upload", listing.upload, name="upload"),
    path("variables", variables.of_teams, name="variables"),
    path("variables/<int:pk>/delete", variables.remove, name="delete_variable"),
    path("folders/new", listing.new_folder, name="new_folder"),
    path("folders/<int:pk>/delete", listing.remove_folder, name="delete_folder"),
    path("<int:pk>", editing.detail, name="detail"),
    path("<int:pk>/draft", editing.draft, name="draft"),
    path("<int:pk>/save", editing.save, name="save"),
    path("<int:pk>/settings", editing.change, name="settings"),
    path("<int:pk>/variables", variables.set_of_thread, name="set_variable"),
    path("<int:pk>/environment", environment.panel, name="environment"),
    path("<int:pk>/environment/set", environment.change, name="set_environment"),
    path("<int:pk>/environment/rebuild", environment.rebuild, name="rebuild_environment"),
    path("<int:pk>/requirements", environment.add, name="add_requirement"),
    path("<int:pk>/delete", editing.delete, name="delete"),
    path("<int:pk>/runs", editing.runs, name="runs"),
    path("<int:pk>/versions", editing.versions, name="versions"),
    path("<int:pk>/versions/<int:number>", editing.version, name="version"),
    path("<int:pk>/versions/<int:number>/restore", editing.restore, name="restore"),
    path("<int:pk>/versions/<int:number>/files/<str:name>", files.download, name="file"),
    path("<int:pk>/files", files.change_files, name="files"),
]
