"""What the installation remembers about itself."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class Milestone(models.Model):
    """Something that happens once in an installation's life, such as the making of the demo content."""

    name = models.CharField(max_length=40, primary_key=True)
    reached_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["reached_at"]

    def __str__(self) -> str:
        return self.name
