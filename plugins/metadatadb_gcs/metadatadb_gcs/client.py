"""The SDK's client: how it is made, and one for all backends of a process that want the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, final
from urllib.parse import urlsplit

from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage

from metadatadb_core.errors import BackendUnavailableError, ConfigError, ConfigProblem
from metadatadb_gcs.config import GCSBackendConfig

__all__ = ["GCSClient", "borrow_client", "check_client", "session_of"]


class GCSClient(Protocol):
    """What is used of the SDK's client."""

    @property
    def api_endpoint(self) -> str: ...
    def close(self) -> None: ...


def session_of(client: GCSClient) -> Any:
    """The session through which the client's requests go, with its credentials: a `requests.Session`.

    The one thing used of the SDK that it does not call public, as all of its own requests do. Its public methods
    will not do: an upload above 8 MB becomes several requests, of which the last is repeated, and of which one that
    is damaged on the way ends in a delete without a condition; a download hides the date of the answer.
    """
    return client._http  # type: ignore[attr-defined]


def check_client(client: GCSClient, *, inherited: object = None) -> None:
    """Refuse a client that somebody else made if it is none, or would repeat requests.

    Args:
        client: what was provided.
        inherited: in a child after a fork, the client that was provided in the parent.

    Raises:
        ConfigError: it is no client, or the parent's, or its connections were set up to repeat what failed.
    """
    if not isinstance(client, storage.Client):
        raise _unfit(f"returned {type(client).__name__!r}, which is not a google.cloud.storage.Client")
    if client is inherited:
        raise _unfit("returned a client that uses the connections of the process this one was forked from")
    # A larger pool of connections is mounted by a widely copied recipe, which turns repetition on by the way.
    if session_of(client).get_adapter(client.api_endpoint).max_retries.total:
        raise _unfit("returned a client that repeats requests, so that it reports its own success as a conflict")


def _unfit(what: str) -> ConfigError:
    return ConfigError(
        [
            ConfigProblem(
                f"client_provider {what}",
                expected="a new google.cloud.storage.Client(), with no adapter mounted that has max_retries",
            )
        ]
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    endpoint_url: str | None
    project: str | None


@dataclass(slots=True)
class _Shared:
    client: GCSClient
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

    def borrow(self, config: GCSBackendConfig) -> tuple[GCSClient, Callable[[], None]]:
        wanted = _Wanted(config.endpoint_url, config.project)
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


def borrow_client(config: GCSBackendConfig) -> tuple[GCSClient, Callable[[], None]]:
    """A client for `config`, and what to call when it is no longer needed.

    Backends of one process that want the same share a client, and so its connections and credentials.

    Raises:
        BackendUnavailableError: this machine has no application-default credentials, or they cannot be used.
    """
    return _clients.borrow(config)


def _make(config: GCSBackendConfig) -> GCSClient:
    endpoint = config.endpoint_url
    # Whoever listens on the way would read them; and an emulator, which is what is reached so, wants none.
    anonymous = AnonymousCredentials() if endpoint and urlsplit(endpoint).scheme == "http" else None  # type: ignore[no-untyped-call]
    options = {"api_endpoint": endpoint} if endpoint else None
    try:
        client: GCSClient = storage.Client(project=config.project, credentials=anonymous, client_options=options)
        session_of(client)  # made on first use, which is not to be by two threads at once
    except (GoogleAuthError, ValueError) as error:
        raise BackendUnavailableError(
            f"cannot make a GCS client: {error}; run `gcloud auth application-default login`, set "
            f"GOOGLE_APPLICATION_CREDENTIALS, or give the machine a service account",
            cause=error,
            denied=True,
        ) from error
    return client
