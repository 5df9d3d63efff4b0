"""From the text of a key to the person who acts by it."""

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.services import KEY_MARK, digest_of

# Last use is for people who tidy up: written at most this often, so that reading calls stay reading ones.
USE_NOTED_EVERY = timedelta(minutes=1)


def user_for_key(text: str) -> User | None:
    """The key's person, with `user.key` set; None when the key is unknown, expired or revoked, or its person is locked out."""
    if not text.startswith(KEY_MARK) or len(text) > 200:
        return None
    key = ApiKey.objects.select_related("user", "team").filter(digest=digest_of(text)).first()
    if key is None or not key.is_usable or not key.user.is_active:
        return None
    _note_use(key)
    user: User = key.user
    user.key = key
    return user


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
        due = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
        ApiKey.objects.filter(due, pk=key.pk).update(last_used_at=now)
