"""Which outcome a failure is: a table over answers of the JSON API and over what is raised below it, without any I/O.

The engine acts on the outcome alone, so nothing is guessed here. Whatever the table does not know is
OutcomeUnknown: the engine then reads again and finds out, which costs a request and is never wrong.

The statuses and reasons are those of "HTTP status and error codes for JSON" in Google's documentation.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import msgspec
import requests.exceptions as http
import urllib3.exceptions as connection
from google.auth import exceptions as auth

from metadatadb_core.replication.outcomes import (
    Denied,
    NotModified,
    OutcomeUnknown,
    PreconditionFailed,
    Rejected,
    StoreFailure,
    Unavailable,
)
from metadatadb_gcs.api import Answer

__all__ = [
    "FAILURES",
    "RequestKind",
    "is_missing_bucket",
    "is_missing_object",
    "is_success",
    "outcome_of",
    "outcome_of_error",
]

FAILURES: Final = (http.RequestException, connection.HTTPError, auth.GoogleAuthError, OSError)
"""What a request raises when there is no answer to it; anything else is a mistake in a program."""


class RequestKind(enum.Enum):
    """What was asked, by the name it has in the documentation of the API."""

    GET = "objects.get"
    LIST = "objects.list"
    PUT = "objects.insert"
    DELETE = "objects.delete"


_WRITES: Final = frozenset({RequestKind.PUT, RequestKind.DELETE})

_NEVER_SENT: Final = (connection.NewConnectionError, connection.ConnectTimeoutError)

# Refused on this side, before anything was sent.
_NOT_A_REQUEST: Final = (
    http.InvalidHeader,
    http.InvalidSchema,
    http.InvalidURL,
    http.MissingSchema,
    connection.LocationValueError,
)

_TOO_MANY: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
"""Reasons of a 403 that is a 429 of former times."""

_BODY_NOT_RECEIVED: Final = "uploadBrokenConnection"
"""A 400 that says that the body did not arrive whole; nothing was stored."""

_CREDENTIALS: Final = "renew or correct the application-default credentials"
_PROJECT: Final = (
    "correct the attribute project, or grant the role Service Usage Consumer on that project; "
    "leave the attribute out unless the bucket is a requester-pays bucket"
)
_HELD: Final = "exempt the objects below .metadata/ from retention policies and holds: they are replaced all the time"

_ADVICE: Final = {
    "objectUnderActiveHold": _HELD,
    "retentionPolicyNotMet": _HELD,
    "userProjectMissing": "set the attribute project: the bucket is a requester-pays bucket",
}

_ADVICE_BY_STATUS: Final = {
    HTTPStatus.UNAUTHORIZED: _CREDENTIALS,
    HTTPStatus.FORBIDDEN: "allow storage.objects.get, .create, .delete and .list on the bucket (the role Storage "
    "Object User); without storage.objects.list, GCS denies access to an object that does not exist",
    HTTPStatus.NOT_FOUND: "there is no such bucket, or this is not an answer of GCS: create the bucket, or correct "
    "the bucket or the endpoint-url",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the namespace is too large for one object: spread it over several",
    HTTPStatus.TOO_MANY_REQUESTS: "GCS takes about one update a second to one object: raise the sync-interval, or "
    "spread the namespace over several",
}


class _Cause(msgspec.Struct):
    reason: str = ""


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    errors: list[_Cause] = []

    @property
    def reason(self) -> str:
        return self.errors[0].reason if self.errors else ""


class _ErrorBody(msgspec.Struct):
    error: _Error


def _error_in(answer: Answer) -> _Error | None:
    """The error as the API itself words it; None where somebody else answered, or a body was asked for."""
    try:
        return msgspec.json.decode(answer.body, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _message(answer: Answer) -> str:
    error = _error_in(answer)
    if error is not None:
        return error.message
    # Where the body of an object was asked for, it is the message alone.
    text = answer.body.decode(errors="replace").strip()
    return "" if text.startswith("<") else text[:200]


def is_success(answer: Answer) -> bool:
    """Whether the request was carried out."""
    return answer.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT)


def is_missing_object(answer: Answer, bucket: str, key: str) -> bool:
    """Whether the store says in so many words that there is no such object."""
    return answer.status == HTTPStatus.NOT_FOUND and _message(answer) == f"No such object: {bucket}/{key}"


def is_missing_bucket(answer: Answer) -> bool:
    """Whether the store says in so many words that there is no such bucket."""
    return answer.status == HTTPStatus.NOT_FOUND and _message(answer) == "The specified bucket does not exist."


def outcome_of(answer: Answer, request: RequestKind) -> StoreFailure:
    """What an answer that is no success means for a request.

    Args:
        answer: the answer; of a 404 it is known that it does not speak of a missing object.
        request: what was asked.
    """
    return _kind(answer, request)(_describe(answer, request), status=answer.status)


def _kind(answer: Answer, request: RequestKind) -> type[StoreFailure]:
    error = _error_in(answer)
    reason = error.reason if error is not None else ""
    match answer.status:
        case HTTPStatus.NOT_MODIFIED if request is RequestKind.GET:
            return NotModified
        case HTTPStatus.PRECONDITION_FAILED if request in _WRITES:
            return PreconditionFailed
        case HTTPStatus.FORBIDDEN if reason in _TOO_MANY:
            return Unavailable
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Denied
        case HTTPStatus.BAD_REQUEST if reason == _BODY_NOT_RECEIVED:
            return Unavailable
        case HTTPStatus.REQUEST_TIMEOUT:
            return OutcomeUnknown
        case HTTPStatus.CONFLICT | HTTPStatus.TOO_MANY_REQUESTS:
            return Unavailable
        case HTTPStatus.NOT_IMPLEMENTED:
            return Rejected
        case HTTPStatus.SERVICE_UNAVAILABLE if error is not None and error.code == answer.status:
            # The store's own. A load balancer whose server has already written says 503 too, in other words.
            return Unavailable
    return Rejected if 300 <= answer.status < 500 else OutcomeUnknown


def _describe(answer: Answer, request: RequestKind) -> str:
    error = _error_in(answer)
    reason = error.reason if error is not None else ""
    message = _message(answer)
    text = f"{request.value} was answered {answer.status} {reason}".rstrip()
    return "; ".join(part for part in (f"{text}: {message}" if message else text, _advice(answer, reason)) if part)


def _advice(answer: Answer, reason: str) -> str:
    message = _message(answer).lower()
    if "serviceusage" in message or "user project specified" in message:
        return _PROJECT
    return _ADVICE.get(reason, "") or _ADVICE_BY_STATUS.get(answer.status, "")  # type: ignore[call-overload]


def outcome_of_error(error: Exception) -> StoreFailure:
    """What `error`, one of `FAILURES`, means for any request."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, auth.GoogleAuthError):
        # It concerns the token, which is there before a request is sent, or is renewed after a 401.
        passing = error.retryable or isinstance(error, auth.TransportError)
        passing = passing or isinstance(error.__cause__, auth.TransportError)
        return Unavailable(text) if passing else Denied(f"{text}; {_CREDENTIALS}")
    if any(isinstance(cause, _NEVER_SENT) for cause in _causes(error)):
        return Unavailable(text)
    if isinstance(error, _NOT_A_REQUEST):
        return Rejected(text)
    if isinstance(error, http.SSLError) and "CERTIFICATE_VERIFY_FAILED" in text:
        return Unavailable(f"{text}; correct the certificate of the store, or the authorities this machine trusts")
    return OutcomeUnknown(text)


def _causes(error: object) -> Iterator[BaseException]:
    """`error`, and what it says it was made of: no layer below uses ``raise from``."""
    if isinstance(error, BaseException):
        yield error
        for part in (*error.args, getattr(error, "reason", None), getattr(error, "original_error", None)):
            yield from _causes(part)
