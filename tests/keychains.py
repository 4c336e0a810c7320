"""An OS keychain for tests: none can run here. It takes orders to misbehave."""

from __future__ import annotations

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordSetError


class MemoryKeychain(KeyringBackend):
    """A keychain in memory."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring is not annotated there
        self.entries: dict[tuple[str, str], str] = {}
        self.is_locked = False
        self.is_full = False
        self.forgets = False

    def get_password(self, service: str, username: str) -> str | None:
        """What is kept."""
        if self.is_locked:
            raise KeyringLocked
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep it, or not."""
        if self.is_full:
            raise PasswordSetError
        if not self.forgets:
            self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Forget it."""
        del self.entries[service, username]
