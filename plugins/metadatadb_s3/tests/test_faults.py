"""The table of outcomes: every failure of the SDK is exactly one of them."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError, create_parser

from metadatadb_core.replication.outcomes import (
    Denied,
    NotModified,
    OutcomeUnknown,
    PreconditionFailed,
    Rejected,
    StoreFailure,
    Unavailable,
)
from metadatadb_s3.faults import FAILURES, RequestKind, is_missing_key, outcome_of

READ, PUT_NEW, PUT_OVER, DELETE = RequestKind
WRITES = (PUT_NEW, PUT_OVER, DELETE)
ALL = (READ, *WRITES)

HTML = b"<html><body><h1>503 Service Unavailable</h1>No server is available.</body></html>"


def xml(code: str, message: str = "said the store") -> bytes:
    """An error as S3 words it."""
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()


def answered(status: int, body: bytes = b"", content_type: str = "application/xml") -> sdk.ClientError:
    """What the SDK raises for that answer; its own parser reads the body."""
    headers = {"content-type": content_type}
    response: Any = {"status_code": status, "headers": headers, "body": body}
    shape: Any = None
    parsed = create_parser("rest-xml").parse(response, shape)
    return sdk.ClientError(parsed, "PutObject")


ANSWERS: list[tuple[int, bytes, tuple[RequestKind, ...], type[StoreFailure]]] = [
    # the object is not at the expected version
    (412, xml("PreconditionFailed"), WRITES, PreconditionFailed),
    (412, b"", WRITES, PreconditionFailed),
    (404, xml("NoSuchKey"), (PUT_OVER, DELETE), PreconditionFailed),
    (304, b"", (READ,), NotModified),
    # surely not applied
    (409, xml("ConditionalRequestConflict"), ALL, Unavailable),
    (409, xml("OperationAborted"), ALL, Unavailable),
    (409, b"", ALL, Unavailable),
    (429, b"", ALL, Unavailable),
    (429, xml("TooManyRequests"), ALL, Unavailable),
    (503, xml("SlowDown"), ALL, Unavailable),
    (503, xml("ServiceUnavailable"), ALL, Unavailable),
    (400, xml("RequestTimeout"), ALL, Unavailable),
    (400, xml("IncompleteBody"), ALL, Unavailable),
    (307, xml("TemporaryRedirect"), ALL, Unavailable),
    # perhaps applied
    (500, xml("InternalError"), ALL, OutcomeUnknown),
    (500, b"", ALL, OutcomeUnknown),
    (502, HTML, ALL, OutcomeUnknown),
    (503, b"", ALL, OutcomeUnknown),
    (503, HTML, ALL, OutcomeUnknown),
    (503, xml("SlowDownWrite"), ALL, OutcomeUnknown),
    (503, xml("SlowDown")[:50], ALL, OutcomeUnknown),
    (504, b"", ALL, OutcomeUnknown),
    (507, b"", ALL, OutcomeUnknown),
    (408, b"", ALL, OutcomeUnknown),
    (200, xml("InternalError"), ALL, OutcomeUnknown),
    (404, xml("NoSuchKey")[:50], ALL, OutcomeUnknown),
    (400, xml("ExpiredToken")[:50], ALL, OutcomeUnknown),
    # somebody has to act on permissions or credentials
    (401, b"", ALL, Denied),
    (403, xml("AccessDenied"), ALL, Denied),
    (403, b"", ALL, Denied),
    (403, HTML, ALL, Denied),
    (403, xml("InvalidAccessKeyId"), ALL, Denied),
    (403, xml("SignatureDoesNotMatch"), ALL, Denied),
    (403, xml("RequestTimeTooSkewed"), ALL, Denied),
    (400, xml("ExpiredToken"), ALL, Denied),
    (400, xml("InvalidToken"), ALL, Denied),
    # the request itself is not acceptable
    (404, xml("NoSuchBucket"), ALL, Rejected),
    (404, xml("NoSuchKey"), (PUT_NEW,), Rejected),
    (301, xml("PermanentRedirect"), ALL, Rejected),
    (400, xml("AuthorizationHeaderMalformed"), ALL, Rejected),
    (400, xml("EntityTooLarge"), ALL, Rejected),
    (400, xml("InvalidRequest"), ALL, Rejected),
    (405, xml("MethodNotAllowed"), ALL, Rejected),
    (412, xml("PreconditionFailed"), (READ,), Rejected),
    (413, b"", ALL, Rejected),
    (501, xml("NotImplemented"), ALL, Rejected),
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


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (sdk.EndpointConnectionError(endpoint_url="http://x", error="refused"), Unavailable),
        (sdk.ConnectTimeoutError(endpoint_url="http://x", error="late"), Unavailable),
        (sdk.ProxyConnectionError(proxy_url="http://x", error="refused"), Unavailable),
        (sdk.MetadataRetrievalError(error_msg="no answer"), Unavailable),
        (
            sdk.SSLError(endpoint_url="https://x", error=ssl.SSLError("CERTIFICATE_VERIFY_FAILED")),
            Unavailable,
        ),
        (sdk.SSLError(endpoint_url="https://x", error=ssl.SSLError("bad record mac")), OutcomeUnknown),
        (sdk.ReadTimeoutError(endpoint_url="http://x", error="late"), OutcomeUnknown),
        (sdk.ConnectionClosedError(endpoint_url="http://x", error="reset"), OutcomeUnknown),
        (sdk.ResponseStreamingError(error="cut"), OutcomeUnknown),
        (sdk.IncompleteReadError(actual_bytes=1, expected_bytes=2), OutcomeUnknown),
        (sdk.HTTPClientError(error="who knows"), OutcomeUnknown),
        (sdk.BotoCoreError(), OutcomeUnknown),
        (ResponseParserError("not XML"), OutcomeUnknown),
        (ConnectionResetError(), OutcomeUnknown),
        (sdk.NoCredentialsError(), Denied),
        (sdk.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"), Denied),
        (sdk.CredentialRetrievalError(provider="process", error_msg="exit status 1"), Denied),
        (sdk.TokenRetrievalError(provider="sso", error_msg="expired"), Denied),
        (sdk.UnauthorizedSSOTokenError(), Denied),
        (sdk.ProfileNotFound(profile="p"), Denied),
        (sdk.ParamValidationError(report="Invalid bucket name"), Rejected),
        (sdk.NoRegionError(), Rejected),
        (sdk.EndpointProviderError(msg="no endpoint"), Rejected),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_an_exception_has_one_outcome(error: Exception, outcome: type[StoreFailure]) -> None:
    """What was never sent was not applied; what was sent and not answered may have been."""
    for kind in ALL:
        assert outcome is type(outcome_of(error, kind))
    assert isinstance(error, FAILURES)


def test_what_nobody_has_heard_of_is_unknown_or_rejected() -> None:
    """A status that the table does not name is never taken for one that says that nothing was applied and may be."""
    for status in (0, 299, 418, 451, 499, 520, 599):
        failure = outcome_of(answered(status), PUT_OVER)

        assert (Rejected if 400 <= status < 500 else OutcomeUnknown) is type(failure)


def test_only_no_such_key_is_absence() -> None:
    """A missing bucket, a 404 of a load balancer or a damaged one must not look like an empty namespace."""
    assert is_missing_key(answered(404, xml("NoSuchKey")))
    for error in (
        answered(404, xml("NoSuchBucket")),
        answered(404, xml("NoSuchKey")[:50]),
        answered(404, HTML, "text/html"),
        answered(404),
        answered(403, xml("NoSuchKey")),
        sdk.NoCredentialsError(),
    ):
        assert not is_missing_key(error)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (answered(403, xml("AccessDenied")), "s3:ListBucket"),
        (answered(403), "s3:ListBucket"),
        (answered(403, xml("RequestTimeTooSkewed")), "clock"),
        (answered(400, xml("ExpiredToken")), "credentials"),
        (answered(404, xml("NoSuchBucket")), "create the bucket"),
        (answered(404, HTML, "text/html"), "endpoint-url"),
        (answered(301, xml("PermanentRedirect")), "region"),
        (answered(413), "too large"),
        (answered(501, xml("NotImplemented")), "conditional"),
        (sdk.NoCredentialsError(), "credentials"),
        (sdk.SSLError(endpoint_url="https://x", error=ssl.SSLError("CERTIFICATE_VERIFY_FAILED")), "certificate"),
    ],
    ids=repr,
)
def test_a_failure_tells_an_operator_what_to_do(error: Exception, advice: str) -> None:
    """What to act on is in the message, beside what the store said."""
    reason = outcome_of(error, PUT_OVER).reason

    assert advice in reason
    if isinstance(error, sdk.ClientError):
        assert reason.startswith("PutObject was answered")
