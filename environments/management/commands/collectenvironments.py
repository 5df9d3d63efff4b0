"""Take environments off the disk that nobody uses."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.text import size_words
from environments.upkeep import UNUSED_DAYS, collect_unused


class Command(BaseCommand):
    help = "Takes Python environments off the disk that no thread uses and no run has used lately."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=UNUSED_DAYS, help=f"how long unused, {UNUSED_DAYS} days when left out")

    def handle(self, *args: Any, days: int, **options: Any) -> None:
        collected = collect_unused(days=days)
        freed = sum(environment.size_bytes for environment in collected)
        self.stdout.write(f"Collected: {len(collected)}, {size_words(freed)}")
