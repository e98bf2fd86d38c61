"""The SDK's client: how it is set up, and one for all backends of a process that want the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, final
from urllib.parse import urlsplit

import boto3.session
from botocore import exceptions as sdk
from botocore.config import Config

from metadatadb_core.errors import BackendUnavailableError, ConfigError, ConfigProblem
from metadatadb_core.wording import without_credentials
from metadatadb_s3.config import S3BackendConfig

__all__ = ["S3Client", "borrow_client", "check_client", "client_config"]

_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 10.0
_CONNECTIONS: Final = 16
"""Kept open at most: one for each thread of the engine's pool and some for callers that flush."""


class S3Client(Protocol):
    """What is used of the SDK's client."""

    meta: Any

    def get_object(self, *args: Any, **kwargs: Any) -> Any: ...
    def put_object(self, *args: Any, **kwargs: Any) -> Any: ...
    def delete_object(self, *args: Any, **kwargs: Any) -> Any: ...
    def list_objects_v2(self, *args: Any, **kwargs: Any) -> Any: ...
    def close(self) -> None: ...


def client_config(config: S3BackendConfig) -> Config:
    """How a client for a backend of that configuration must be set up; for those who make their own.

    It repeats nothing: after a lost answer, a conditional put that is sent again fails because of its own first
    sending, and reports so. The engine does the repeating, and knows what to make of each outcome. A request
    ends within half the TTL of the lock that it is made under.
    """
    limit = config.lock_ttl.seconds / 2
    connect = min(_CONNECT_SECONDS, limit / 3)
    return Config(
        retries={"total_max_attempts": 1},
        connect_timeout=connect,
        read_timeout=min(_READ_SECONDS, limit - connect),
        tcp_keepalive=True,
        max_pool_connections=_CONNECTIONS,
        # Stores other than AWS refuse or mishandle the checksums that the SDK adds by itself, and where the
        # endpoint comes from (an attribute, a variable, a profile) does not matter for that. The signature
        # covers the body in any case.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def check_client(client: S3Client, config: S3BackendConfig, *, inherited: object = None) -> None:
    """Refuse a client that somebody else made if it would repeat requests, or wait too long for an answer.

    Args:
        client: what was provided.
        config: the configuration of the backend that would use it.
        inherited: in a child after a fork, the client that was provided in the parent.

    Raises:
        ConfigError: it is not set up as `client_config` says, or it is the parent's.
    """
    settings = getattr(getattr(client, "meta", None), "config", None)
    if settings is None:
        raise _unfit(f"returned {type(client).__name__!r}, which is not a boto3 S3 client")
    problems = []
    if _has_credentials(client):
        problems.append("has a user or password in its endpoint, which the SDK repeats in every error")
    if client is inherited:
        problems.append("uses the connections of the process this one was forked from")
    if (settings.retries or {}).get("total_max_attempts") != 1:
        problems.append("repeats requests by itself, so that it reports its own success as a conflict")
    if (settings.connect_timeout or 0) + (settings.read_timeout or float("inf")) > config.lock_ttl.seconds / 2:
        problems.append(f"waits for an answer for longer than half the lock-ttl ({config.lock_ttl})")
    if problems:
        raise _unfit(f"returned a client that {' and '.join(problems)}")


def _unfit(what: str) -> ConfigError:
    return ConfigError(
        [
            ConfigProblem(
                f"client_provider {what}",
                expected='boto3.client("s3", config=metadatadb_s3.client.client_config(config))',
            )
        ]
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    endpoint_url: str | None
    region: str | None
    profile: str | None
    lock_ttl: float


@dataclass(slots=True)
class _Shared:
    client: S3Client
    borrowers: int = 0


@final
class _Clients:
    """The clients of this process that are in use, and by how many."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, after a fork: connections cannot be shared with the parent, nor a lock that it held."""
        self._lock = threading.Lock()
        self._in_use: dict[_Wanted, _Shared] = {}

    def borrow(self, config: S3BackendConfig) -> tuple[S3Client, Callable[[], None]]:
        wanted = _Wanted(config.endpoint_url, config.region, config.profile, config.lock_ttl.seconds)
        with self._lock:
            shared = self._in_use.get(wanted)
            if shared is None:
                shared = self._in_use[wanted] = _Shared(_make(config))
            shared.borrowers += 1
        return shared.client, lambda: self._give_back(wanted, shared)

    def _give_back(self, wanted: _Wanted, shared: _Shared) -> None:
        with self._lock:
            shared.borrowers -= 1
            # Not ours if it is from before a fork: the parent uses it.
            last = shared.borrowers == 0 and self._in_use.get(wanted) is shared
            if last:
                del self._in_use[wanted]
        if last:
            shared.client.close()


_clients: Final = _Clients()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_clients.forget)


def borrow_client(config: S3BackendConfig) -> tuple[S3Client, Callable[[], None]]:
    """A client for `config`, and what to call when it is no longer needed.

    Backends of one process that want the same share a client, and so its connections and credentials.

    Raises:
        ConfigError: there is no such profile or region.
        BackendUnavailableError: the credentials of this machine are incomplete, say.
    """
    return _clients.borrow(config)


def _make(config: S3BackendConfig) -> S3Client:
    try:
        # A session of our own: the default one may not be used by several threads at once.
        session: Any = boto3.session.Session(profile_name=config.profile, region_name=config.region)
        client: S3Client = session.client("s3", endpoint_url=config.endpoint_url, config=client_config(config))
    except sdk.ProfileNotFound as error:
        problem = ConfigProblem(f"the AWS configuration has no profile {config.profile!r}", attribute="profile")
        raise ConfigError([problem]) from error
    except sdk.InvalidRegionError as error:
        raise ConfigError([ConfigProblem(f"not a region: {config.region!r}", attribute="region")]) from error
    except (sdk.BotoCoreError, ValueError) as error:
        reason = f"cannot make an S3 client: {error}"
        if (safe := without_credentials(reason)) != reason:
            raise BackendUnavailableError(safe) from None  # what the SDK says would be shown with it
        raise BackendUnavailableError(reason, cause=error) from error
    if _has_credentials(client):
        client.close()
        raise ConfigError(
            [
                ConfigProblem(
                    "the endpoint of the AWS configuration has a user or password in it",
                    expected="credentials where boto3 finds them, and a URL such as http://minio.internal:9000",
                )
            ]
        )
    return client


def _has_credentials(client: S3Client) -> bool:
    """Whether the endpoint has: the SDK repeats it in what it raises, and so in every log."""
    return "@" in urlsplit(client.meta.endpoint_url).netloc
