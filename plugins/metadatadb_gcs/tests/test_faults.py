"""The table of outcomes: every failure is exactly one of them."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest
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
from metadatadb_gcs.faults import (
    FAILURES,
    RequestKind,
    is_missing_bucket,
    is_missing_object,
    is_success,
    outcome_of,
    outcome_of_error,
)

GET, LIST, PUT, DELETE = RequestKind
READS = (GET, LIST)
WRITES = (PUT, DELETE)
ALL = (*READS, *WRITES)

HTML = b"<html><body><h1>503 Service Unavailable</h1>No server is available.</body></html>"


def error(status: int, reason: str, message: str = "said the store") -> bytes:
    """An error as the JSON API words it."""
    cause = {"domain": "global", "reason": reason, "message": message}
    return json.dumps({"error": {"code": status, "message": message, "errors": [cause]}}).encode()


def answered(status: int, body: bytes = b"") -> Answer:
    return Answer(status, {}, body)


ANSWERS: list[tuple[int, bytes, tuple[RequestKind, ...], type[StoreFailure]]] = [
    # the object is not at the expected version
    (412, error(412, "conditionNotMet"), WRITES, PreconditionFailed),
    (412, b"", WRITES, PreconditionFailed),
    (304, b"", (GET,), NotModified),
    # surely not applied
    (429, error(429, "rateLimitExceeded"), ALL, Unavailable),
    (429, b"", ALL, Unavailable),
    (409, error(409, "conflict"), ALL, Unavailable),
    (403, error(403, "rateLimitExceeded"), ALL, Unavailable),
    (403, error(403, "userRateLimitExceeded"), ALL, Unavailable),
    (400, error(400, "uploadBrokenConnection"), ALL, Unavailable),
    (503, error(503, "backendError"), ALL, Unavailable),
    # perhaps applied
    (500, error(500, "backendError"), ALL, OutcomeUnknown),
    (500, b"", ALL, OutcomeUnknown),
    (502, HTML, ALL, OutcomeUnknown),
    (502, error(502, "badGateway"), ALL, OutcomeUnknown),
    (503, b"", ALL, OutcomeUnknown),
    (503, HTML, ALL, OutcomeUnknown),
    (503, b'{"error": "overloaded"}', ALL, OutcomeUnknown),
    (503, error(500, "backendError"), ALL, OutcomeUnknown),
    (503, error(503, "backendError")[:50], ALL, OutcomeUnknown),
    (504, error(504, "gatewayTimeout"), ALL, OutcomeUnknown),
    (408, error(408, "requestTimeout"), ALL, OutcomeUnknown),
    (408, b"", ALL, OutcomeUnknown),
    (507, b"", ALL, OutcomeUnknown),
    # somebody has to act on permissions or credentials
    (401, error(401, "authError"), ALL, Denied),
    (401, b"", ALL, Denied),
    (403, error(403, "forbidden"), ALL, Denied),
    (403, error(403, "accountDisabled"), ALL, Denied),
    (403, error(403, "retentionPolicyNotMet"), ALL, Denied),
    (403, HTML, ALL, Denied),
    (403, b"", ALL, Denied),
    # the request itself is not acceptable
    (404, error(404, "notFound", "The specified bucket does not exist."), ALL, Rejected),
    (404, HTML, ALL, Rejected),
    (400, error(400, "invalid"), ALL, Rejected),
    (400, error(400, "userProjectMissing"), ALL, Rejected),
    (400, b"", ALL, Rejected),
    (302, b"", ALL, Rejected),
    (304, b"", (LIST, *WRITES), Rejected),
    (405, b"", ALL, Rejected),
    (412, error(412, "conditionNotMet"), READS, Rejected),
    (413, error(413, "uploadTooLarge"), ALL, Rejected),
    (416, b"", ALL, Rejected),
    (501, b"", ALL, Rejected),
]


@pytest.mark.parametrize(
    ("status", "body", "request_kind", "outcome"),
    [(status, body, kind, outcome) for status, body, kinds, outcome in ANSWERS for kind in kinds],
)
def test_an_answer_has_one_outcome(
    status: int, body: bytes, request_kind: RequestKind, outcome: type[StoreFailure]
) -> None:
    """The engine does the right thing for each outcome; a wrong one doubles or loses an op."""
    failure = outcome_of(answered(status, body), request_kind)

    assert (outcome, status) == (type(failure), failure.status)


def test_what_nobody_has_heard_of_is_unknown_or_rejected() -> None:
    """A status that the table does not name is never taken for one that says that nothing was applied and may be."""
    for status in (201, 206, 299, 418, 451, 499, 520, 599):
        answer = answered(status)

        assert not is_success(answer)
        assert (Rejected if 400 <= status < 500 else OutcomeUnknown) is type(outcome_of(answer, PUT))


NEW: Any = connection.NewConnectionError(None, "refused")  # type: ignore[arg-type]
LATE: Any = connection.ConnectTimeoutError("late")
CUT: Any = connection.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))


def within(cause: Exception) -> connection.MaxRetryError:
    """As the pool of connections wraps what it met while it connected."""
    return connection.MaxRetryError(None, "/", cause)  # type: ignore[arg-type]


def caused(kind: type[auth.GoogleAuthError], cause: Exception) -> auth.GoogleAuthError:
    """As the library raises it: ``raise RefreshError(cause) from cause``."""
    error = kind(cause)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        # nothing was sent
        (http.ConnectionError(within(NEW)), Unavailable),
        (http.ConnectTimeout(within(LATE)), Unavailable),
        (http.ProxyError(within(connection.ProxyError("Cannot connect to proxy.", NEW))), Unavailable),
        (http.SSLError(ssl.SSLError("CERTIFICATE_VERIFY_FAILED")), Unavailable),
        # something was, or may have been
        (http.ReadTimeout("late"), OutcomeUnknown),
        (http.Timeout("late"), OutcomeUnknown),
        (http.ConnectionError(CUT), OutcomeUnknown),
        (http.ConnectionError("who knows"), OutcomeUnknown),
        (http.ChunkedEncodingError(CUT), OutcomeUnknown),
        (http.ContentDecodingError("cut"), OutcomeUnknown),
        (http.ProxyError(within(connection.ProxyError("Cannot connect to proxy.", OSError("reset")))), OutcomeUnknown),
        (http.SSLError(ssl.SSLError("bad record mac")), OutcomeUnknown),
        (connection.ProtocolError("cut"), OutcomeUnknown),
        (OSError("who knows"), OutcomeUnknown),
        # it could not even be a request
        (http.InvalidURL("no host"), Rejected),
        (http.MissingSchema("no scheme"), Rejected),
        (http.InvalidHeader("a line end"), Rejected),
        # no token: nobody was asked to do anything, or whoever was said 401
        (auth.TransportError("the token's server does not answer"), Unavailable),
        (auth.RefreshError("try again", retryable=True), Unavailable),
        (caused(auth.RefreshError, auth.TransportError("the metadata server does not answer")), Unavailable),
        (auth.RefreshError("invalid_grant"), Denied),
        (auth.ReauthFailError("no password"), Denied),
        (auth.InvalidOperation("Anonymous credentials cannot be refreshed."), Denied),
        (auth.DefaultCredentialsError("none"), Denied),
        (auth.MutualTLSChannelError("no certificate"), Denied),
    ],
    ids=repr,
)
def test_an_exception_has_one_outcome(error: Exception, outcome: type[StoreFailure]) -> None:
    """What was never sent was not applied; what was sent and not answered may have been."""
    assert outcome is type(outcome_of_error(error))
    assert isinstance(error, FAILURES)


MISSING = "No such object: b/.metadata/app.json"


def test_only_the_stores_own_words_say_that_an_object_is_missing() -> None:
    """A missing bucket, or a 404 of a load balancer, must not look like an empty namespace."""
    key = ".metadata/app.json"

    assert is_missing_object(answered(404, error(404, "notFound", MISSING)), "b", key)
    assert is_missing_object(answered(404, MISSING.encode()), "b", key)
    for answer in (
        answered(404, error(404, "notFound", MISSING)[:60]),
        answered(404, error(404, "notFound", "The specified bucket does not exist.")),
        answered(404, error(404, "notFound", "Not Found")),
        answered(404, HTML),
        answered(404),
        answered(403, MISSING.encode()),
        answered(200, MISSING.encode()),
    ):
        assert not is_missing_object(answer, "b", key)
    assert not is_missing_object(answered(404, MISSING.encode()), "b", "another")
    assert not is_missing_object(answered(404, MISSING.encode()), "another", key)


def test_only_the_stores_own_words_say_that_a_bucket_is_missing() -> None:
    """Any other 404 is looked into."""
    words = "The specified bucket does not exist."

    assert is_missing_bucket(answered(404, error(404, "notFound", words)))
    assert is_missing_bucket(answered(404, words.encode()))
    for answer in (answered(404, HTML), answered(404, MISSING.encode()), answered(400, words.encode())):
        assert not is_missing_bucket(answer)


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (answered(401), "credentials"),
        (answered(403, error(403, "forbidden", "a@b does not have storage.objects.get access")), "Storage Object User"),
        (answered(403), "storage.objects.list"),
        (answered(403, error(403, "forbidden", "a@b does not have serviceusage.services.use access")), "project"),
        (answered(400, error(400, "invalid", "User project specified in the request is invalid.")), "project"),
        (answered(400, error(400, "userProjectMissing")), "set the attribute project"),
        (answered(403, error(403, "retentionPolicyNotMet")), "retention"),
        (answered(403, error(403, "objectUnderActiveHold")), "holds"),
        (answered(404, error(404, "notFound", "The specified bucket does not exist.")), "create the bucket"),
        (answered(404, HTML), "endpoint-url"),
        (answered(413), "too large"),
        (answered(429, error(429, "rateLimitExceeded")), "sync-interval"),
    ],
    ids=repr,
)
def test_an_answer_tells_an_operator_what_to_do(answer: Answer, advice: str) -> None:
    """What to act on is in the message, beside what the store said."""
    reason = outcome_of(answer, PUT).reason

    assert advice in reason
    assert reason.startswith(f"objects.insert was answered {answer.status}")


def test_what_the_store_said_is_told_and_pages_for_browsers_are_not() -> None:
    """An operator reads it in one line of a log."""
    said = outcome_of(answered(403, error(403, "forbidden", "a@b may not")), GET).reason
    page = outcome_of(answered(502, HTML), GET).reason

    assert "objects.get was answered 403 forbidden: a@b may not; allow" in said
    assert "objects.get was answered 502" == page


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (auth.RefreshError("invalid_grant"), "application-default credentials"),
        (http.SSLError(ssl.SSLError("CERTIFICATE_VERIFY_FAILED")), "certificate"),
    ],
    ids=repr,
)
def test_an_exception_tells_an_operator_what_to_do(error: Exception, advice: str) -> None:
    """Where waiting may not help."""
    assert advice in outcome_of_error(error).reason
