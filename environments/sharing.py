"""Who may see what is shared: who sees a thread that uses it."""

from typing import Any, Self, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import models

from accounts.models import User
from accounts.querysets import sees_all, teams_of

Row = TypeVar("Row", bound=models.Model, covariant=True)


class SharedQuerySet(models.QuerySet[Row]):
    """Rows that threads use. Threads are kept by an app above this one: the relation's name is all that is known of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        if sees_all(user):
            return self.all()
        used: dict[str, Any] = {"threads__team__in": teams_of(user)}
        # By a subquery: a join would give a row once per thread.
        return self.filter(pk__in=self.model._default_manager.filter(**used).values("pk"))
