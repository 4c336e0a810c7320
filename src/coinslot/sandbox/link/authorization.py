"""Who may use the wallet: device codes, grants, and their tokens (RFC 8628, RFC 6749 §6, RFC 7009).

Tokens and device codes are kept as hashes. A refresh token is good for once; the next one comes with the
answer, so a client that refreshes twice at the same time loses its session, as it would elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets
from sqlite3 import Connection
from typing import Final, NamedTuple

from coinslot.sandbox.link.database import Clock, Database
from coinslot.sandbox.link.phrases import phrase
from coinslot.sandbox.link.refusals import OAuthRefusal, Refusal

DEVICE_LIFETIME: Final = 600
"""Seconds that a user has for letting a device in."""

INTERVAL: Final = 1
"""Seconds between polls, at least. Shorter than Link's own, so that tests do not wait."""


class Device(NamedTuple):
    """A login that waits for its user."""

    user_code: str
    label: str
    scope: str
    state: str


class Tokens(NamedTuple):
    """What a client gets for a grant. `expires_in` is of the access token, in seconds."""

    access: str
    refresh: str
    expires_in: int
    scope: str


class Authorizations:
    """The login's half of Link. `token_lifetime` is that of an access token, in seconds."""

    def __init__(self, database: Database, clock: Clock, *, token_lifetime: int, unattended: bool) -> None:
        self._database = database
        self._clock = clock
        self._token_lifetime = token_lifetime
        self._unattended = unattended

    def begin(self, client_id: str, scope: str, label: str) -> tuple[str, str]:
        """Start a login: the device's code, and the phrase for its user."""
        device_code, user_code = secrets.token_urlsafe(32), phrase()
        state = "allowed" if self._unattended else "pending"
        with self._database.transaction() as state_of:
            state_of.execute("DELETE FROM devices WHERE expires_at < ?", (self._clock() - DEVICE_LIFETIME,))
            state_of.execute(
                "INSERT INTO devices VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    _hash(device_code),
                    user_code,
                    client_id,
                    label,
                    scope,
                    state,
                    self._clock() + DEVICE_LIFETIME,
                ),
            )
        return device_code, user_code

    def device(self, user_code: str) -> Device | None:
        """The login with this phrase, if it can still be decided or was; None if there is none."""
        with self._database.transaction() as state:
            row = state.execute(
                "SELECT user_code, label, scope, state FROM devices WHERE user_code = ? AND expires_at > ?",
                (" ".join(user_code.lower().split()).replace(" ", "-"), self._clock()),
            ).fetchone()
        return None if row is None else Device(*row)

    def decide(self, user_code: str, *, allowed: bool) -> None:
        """The user's word on a login. One that was decided stays as it is."""
        with self._database.transaction() as state:
            state.execute(
                "UPDATE devices SET state = ? WHERE user_code = ? AND state = 'pending' AND expires_at > ?",
                ("allowed" if allowed else "denied", user_code, self._clock()),
            )

    def redeem(self, device_code: str, client_id: str) -> Tokens:
        """Tokens for a device that was let in. Raises `OAuthRefusal` as RFC 8628 §3.5 has it."""
        # Its own transaction: when it was asked is kept, whatever the answer.
        with self._database.transaction() as state:
            row = state.execute(
                "SELECT * FROM devices WHERE device_hash = ? AND client_id = ?",
                (_hash(device_code), client_id),
            ).fetchone()
            now = self._clock()
            state.execute("UPDATE devices SET polled_at = ? WHERE device_hash = ?", (now, _hash(device_code)))
        if row is None or row["state"] == "used":
            raise OAuthRefusal("invalid_grant", "There is no such device code.")
        if row["expires_at"] <= now:
            raise OAuthRefusal("expired_token", "The device code has expired.")
        if row["state"] == "denied":
            raise OAuthRefusal("access_denied", "The user did not allow it.")
        if row["state"] == "pending":
            if row["polled_at"] is not None and now - row["polled_at"] < INTERVAL * 0.9:
                raise OAuthRefusal("slow_down", f"Poll every {INTERVAL} s.")
            raise OAuthRefusal("authorization_pending", "The user has not decided yet.")
        with self._database.transaction() as state:
            state.execute("UPDATE devices SET state = 'used' WHERE device_hash = ?", (_hash(device_code),))
            grant = state.execute(
                "INSERT INTO grants (client_id, label, scope) VALUES (?, ?, ?) RETURNING id",
                (client_id, row["label"], row["scope"]),
            ).fetchone()
            return self._issue(state, grant["id"], row["scope"])

    def refresh(self, refresh_token: str, client_id: str) -> Tokens:
        """New tokens for old ones, which are void from then on. Raises `OAuthRefusal`."""
        with self._database.transaction() as state:
            row = state.execute(
                "DELETE FROM tokens WHERE token_hash = ? AND kind = 'refresh' RETURNING grant_id",
                (_hash(refresh_token),),
            ).fetchone()
            grant = (
                row
                and state.execute(
                    "SELECT * FROM grants WHERE id = ? AND client_id = ? AND revoked_at IS NULL",
                    (row["grant_id"], client_id),
                ).fetchone()
            )
            if not grant:
                raise OAuthRefusal("invalid_grant", "The refresh token is not valid.")
            state.execute("DELETE FROM tokens WHERE grant_id = ?", (grant["id"],))
            return self._issue(state, grant["id"], grant["scope"])

    def revoke(self, token: str) -> None:
        """End the grant that `token`, of either kind, belongs to. An unknown one is no error."""
        with self._database.transaction() as state:
            state.execute(
                "UPDATE grants SET revoked_at = ? WHERE revoked_at IS NULL"
                " AND id = (SELECT grant_id FROM tokens WHERE token_hash = ?)",
                (self._clock(), _hash(token)),
            )

    def check(self, header: str | None, *, scope: str) -> None:
        """Whether an Authorization header lets its sender do what needs `scope`. Raises `Refusal`."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal(401, "An access token is missing.", code="unauthorized")
        with self._database.transaction() as state:
            row = state.execute(
                "SELECT scope FROM tokens JOIN grants ON grants.id = grant_id"
                " WHERE token_hash = ? AND kind = 'access' AND expires_at > ? AND revoked_at IS NULL",
                (_hash(token.strip()), self._clock()),
            ).fetchone()
        if row is None:
            raise Refusal(401, "The access token is not valid, or has expired.", code="unauthorized")
        if scope not in row["scope"].split():
            raise Refusal(403, f"The access token lacks the scope {scope}.", code="insufficient_scope")

    def _issue(self, state: Connection, grant: int, scope: str) -> Tokens:
        access, refresh = f"lat_test_{secrets.token_urlsafe(32)}", f"lrt_test_{secrets.token_urlsafe(32)}"
        state.executemany(
            "INSERT INTO tokens VALUES (?, ?, ?, ?)",
            [
                (_hash(access), grant, "access", self._clock() + self._token_lifetime),
                (_hash(refresh), grant, "refresh", None),
            ],
        )
        return Tokens(access, refresh, self._token_lifetime, scope)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
