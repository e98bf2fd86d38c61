"""Namespaces in an S3 bucket: the engine of the core over `S3ObjectStore`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, final

from metadatadb_core.errors import BackendUnavailableError
from metadatadb_core.replication.backend import ReplicatedBackend
from metadatadb_core.replication.object_store import ObjectStore
from metadatadb_core.replication.outcomes import Denied, Rejected, StoreFailure
from metadatadb_s3.config import S3BackendConfig

if TYPE_CHECKING:
    from metadatadb_s3.client import S3Client

__all__ = ["ClientProvider", "S3Backend"]

ClientProvider: TypeAlias = "Callable[[], Any]"
"""Makes a boto3 S3 client, set up as `metadatadb_s3.client.client_config` says."""


@final
class S3Backend(ReplicatedBackend):
    """Replicas share their namespaces through a bucket.

    Args:
        config: which bucket, and how.
        client_provider: makes the client; None makes one from `config` and the AWS configuration of this machine,
            and shares it with the other backends of the process. It is called once, and once more in a child
            after a fork, where it must make a new one. The client is its caller's: it is not closed.

    Raises:
        BackendUnavailableError: there is no such bucket, or access to it is denied. A store that cannot be
            reached is no error: `Backend.status` then says that nothing is loaded.
        ConfigError: there is no such profile, or the client is not set up as it must be.
    """

    def __init__(self, config: S3BackendConfig, client_provider: ClientProvider | None = None) -> None:
        name = f"s3://{config.bucket}" + (f" at {config.endpoint_url}" if config.endpoint_url else "")
        self._opener = _Opener(config, client_provider)
        _check_bucket(self._opener.first, name, config.prefix)
        super().__init__(self._opener, name=name, config=config)

    def close(self, *, timeout: float | None = None) -> None:
        """See `Backend.close`."""
        super().close(timeout=timeout)
        self._opener.first.close()  # of a backend that no namespace was used of, the engine never took it


@final
class _Opener:
    """Opens the bucket: at once, so that a mistake is reported where it was made, and again after a fork."""

    def __init__(self, config: S3BackendConfig, client_provider: ClientProvider | None) -> None:
        self._config = config
        self._client_provider = client_provider
        self._process = os.getpid()
        self._provided: object = None
        self.first = self._open()

    def __call__(self) -> ObjectStore:
        return self.first if os.getpid() == self._process else self._open()

    def _open(self) -> ObjectStore:
        # Only now: whoever merely knows of this backend need not load the SDK.
        from metadatadb_s3.client import borrow_client, check_client
        from metadatadb_s3.store import S3ObjectStore

        if self._client_provider is None:
            client, give_back = borrow_client(self._config)
            return S3ObjectStore(client, self._config.bucket, close=give_back)
        provided: S3Client = self._client_provider()
        check_client(provided, self._config, inherited=self._provided)
        self._provided = provided
        return S3ObjectStore(provided, self._config.bucket)


def _check_bucket(store: ObjectStore, name: str, prefix: str) -> None:
    """Report at once what no waiting would cure. It needs no more permissions than the engine does."""
    try:
        store.get(f"{prefix}.metadata/.probe")
    except (Denied, Rejected) as failure:
        store.close()
        denied = isinstance(failure, Denied)
        raise BackendUnavailableError(f"{name}: {failure.reason}", cause=failure, denied=denied) from failure
    except StoreFailure:
        pass  # out of reach, perhaps only now: the engine goes on trying
