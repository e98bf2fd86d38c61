"""Requests over a bounded pool of connections: connect, then send, then read the answer, each once.

A `redis.Redis` would send a command again whose answer was lost (by default, since redis-py 6), and a conditional put
that is sent again is refused because of its first sending. It would also raise one `ConnectionError` for a server that
was never reached and for one that stopped in the middle. So its pool is used without it.
"""

from __future__ import annotations

from typing import Any, Final, final

from redis.backoff import NoBackoff
from redis.connection import BlockingConnectionPool, Connection, SSLConnection
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from metadatadb_redis.config import RedisBackendConfig
from metadatadb_redis.faults import FAILURES, failed_connection, failed_request

__all__ = ["Connections"]

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0
_CONNECTIONS: Final = 16
"""Open at most: one for each thread of the engine's pool and some for callers that flush."""


@final
class Connections:
    """The connections to one database. A request ends within half the TTL of the lock that it is made under.

    Args:
        config: which database. Nothing is opened before the first request.
    """

    def __init__(self, config: RedisBackendConfig) -> None:
        limit = config.lock_ttl.seconds / 2
        connect = min(_CONNECT_SECONDS, limit / 3)
        transport: dict[str, Any] = {"ssl_check_hostname": True} if config.tls else {}
        make_pool: Any = BlockingConnectionPool  # some of its types are missing, others wrong
        self._pool = make_pool(
            max_connections=_CONNECTIONS,
            timeout=connect,
            connection_class=SSLConnection if config.tls else Connection,
            host=config.host,
            port=config.port,
            db=config.database,
            username=config.username,
            password=config.password,
            socket_connect_timeout=connect,
            socket_timeout=min(_ANSWER_SECONDS, limit - connect),
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # the third adds messages that nobody asked for
            **transport,
        )

    def request(self, *command: str | bytes | int) -> Any:
        """Send `command`; the server's answer.

        Raises:
            StoreFailure: it failed, in the way that the outcome says.
        """
        try:
            connection = self._pool.get_connection()
        except FAILURES as error:
            raise failed_connection(error) from error
        try:
            connection.send_command(*command)
            return connection.read_response()
        except FAILURES as error:
            if isinstance(error, ReadOnlyError):
                connection.disconnect()  # the host's name may lead to the new primary by now
            raise failed_request(error) from error
        finally:
            self._pool.release(connection)

    def close(self) -> None:
        """Close them all."""
        self._pool.disconnect()
