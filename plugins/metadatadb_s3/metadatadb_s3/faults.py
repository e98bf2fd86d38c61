"""Which outcome a failure is: a table over what the SDK raises, without any I/O.

The engine acts on the outcome alone, so nothing is guessed here. Whatever the table does not know is
OutcomeUnknown: the engine then reads again and finds out, which costs a request and is never wrong.

The error codes are those of "Error responses" and of "Conditional requests" in Amazon's documentation of S3.
"""

from __future__ import annotations

import enum
from http import HTTPStatus
from typing import Final

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from metadatadb_core.replication.outcomes import (
    Denied,
    NotModified,
    OutcomeUnknown,
    PreconditionFailed,
    Rejected,
    StoreFailure,
    Unavailable,
)

__all__ = ["FAILURES", "RequestKind", "is_missing_key", "outcome_of"]

FAILURES: Final = (sdk.BotoCoreError, sdk.ClientError, ResponseParserError, OSError)
"""What a call of the SDK raises when it fails; anything else is a mistake in a program."""


class RequestKind(enum.Enum):
    """What was asked, as far as an answer means something else for each."""

    READ = "a get or a list"
    PUT_NEW = "a put that expects no object"
    PUT_OVER = "a put that expects a version"
    DELETE = "a delete that expects a version"


_EXPECTS_A_VERSION: Final = frozenset({RequestKind.PUT_OVER, RequestKind.DELETE})

_NEVER_SENT: Final = (
    sdk.EndpointConnectionError,
    sdk.ConnectTimeoutError,
    sdk.ProxyConnectionError,
    sdk.MetadataRetrievalError,  # the machine's own credentials service did not answer
)

_NO_CREDENTIALS: Final = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.NoAuthTokenError,
    sdk.TokenRetrievalError,
    sdk.UnauthorizedSSOTokenError,
    sdk.SSOError,
    sdk.ProfileNotFound,
    sdk.RefreshWithMFAUnsupportedError,
)

# Refused by the SDK itself, before anything was sent.
_NOT_A_REQUEST: Final = (
    sdk.ParamValidationError,
    sdk.ValidationError,
    sdk.MissingParametersError,
    sdk.BaseEndpointResolverError,
    sdk.EndpointProviderError,
    sdk.InvalidEndpointConfigurationError,
    sdk.UnsupportedS3ArnError,
    sdk.UnsupportedS3ConfigurationError,
    sdk.UnsupportedS3AccesspointConfigurationError,
)

_REFUSED_UNDER_LOAD: Final = frozenset({"SlowDown", "ServiceUnavailable"})
"""What S3 itself says with a 503 before it does anything. Others say 503 too: a load balancer whose server has
already written, or a store that did not reach all of its disks."""

_CREDENTIALS_WITH_400: Final = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})

_BODY_NOT_RECEIVED: Final = frozenset({"RequestTimeout", "IncompleteBody", "BadDigest"})
"""400s that say that the body did not arrive, or not whole; nothing was stored."""

_ELSEWHERE: Final = "set the region of the bucket, or the endpoint-url that serves it"
_CREDENTIALS: Final = "renew or correct the AWS credentials"

_ADVICE: Final = {
    "AccessDenied": "allow s3:GetObject, s3:PutObject and s3:DeleteObject on the keys and s3:ListBucket on the "
    "bucket; without s3:ListBucket, S3 denies access to an object that does not exist",
    "AllAccessDisabled": "the bucket's owner has disabled access to it",
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "EntityTooLarge": "the namespace is too large for one object of this store: spread it over several",
    "ExpiredToken": _CREDENTIALS,
    "IllegalLocationConstraintException": _ELSEWHERE,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "NoSuchBucket": "create the bucket, or correct the bucket, the endpoint-url or the region",
    "NotImplemented": "the store does not implement conditional requests: use one that does, or a newer version",
    "PermanentRedirect": _ELSEWHERE,
    "RequestTimeTooSkewed": "correct this machine's clock, which is too far from the store's",
    "SignatureDoesNotMatch": _CREDENTIALS,
    "TokenRefreshRequired": _CREDENTIALS,
}

_ADVICE_BY_STATUS: Final = {
    HTTPStatus.UNAUTHORIZED: _CREDENTIALS,
    HTTPStatus.FORBIDDEN: _ADVICE["AccessDenied"],
    HTTPStatus.NOT_FOUND: "this is not an answer of S3: correct the endpoint-url",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _ADVICE["EntityTooLarge"],
    HTTPStatus.NOT_IMPLEMENTED: _ADVICE["NotImplemented"],
}


def is_missing_key(error: Exception) -> bool:
    """Whether `error` says that there is no such object: NoSuchKey and nothing else."""
    return isinstance(error, sdk.ClientError) and _status(error) == HTTPStatus.NOT_FOUND and _code(error) == "NoSuchKey"


def outcome_of(error: Exception, request: RequestKind) -> StoreFailure:
    """What `error`, one of `FAILURES`, means for a request.

    Args:
        error: what the SDK raised.
        request: what it raised it for.
    """
    if isinstance(error, sdk.ClientError):
        status = _status(error)
        return _kind(error, status, request)(_describe(error, status), status=status)
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, _NEVER_SENT):
        return Unavailable(text)
    if isinstance(error, _NO_CREDENTIALS):
        return Denied(f"{text}; {_CREDENTIALS}")
    if isinstance(error, _NOT_A_REQUEST):
        return Rejected(text)
    if isinstance(error, sdk.SSLError) and "CERTIFICATE_VERIFY_FAILED" in text:
        return Unavailable(f"{text}; correct the certificate of the store, or the authorities this machine trusts")
    return OutcomeUnknown(text)


def _kind(error: sdk.ClientError, status: int, request: RequestKind) -> type[StoreFailure]:
    code = _code(error)
    match status:
        case HTTPStatus.NOT_MODIFIED if request is RequestKind.READ:
            return NotModified
        case HTTPStatus.TEMPORARY_REDIRECT:
            return Unavailable
        case HTTPStatus.BAD_REQUEST if code in _CREDENTIALS_WITH_400:
            return Denied
        case HTTPStatus.BAD_REQUEST if code in _BODY_NOT_RECEIVED:
            return Unavailable
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Denied
        case HTTPStatus.NOT_FOUND if code == "NoSuchKey" and request in _EXPECTS_A_VERSION:
            return PreconditionFailed
        case HTTPStatus.BAD_REQUEST | HTTPStatus.NOT_FOUND if _is_damaged(error, status):
            return OutcomeUnknown
        case HTTPStatus.REQUEST_TIMEOUT:
            return OutcomeUnknown
        case HTTPStatus.CONFLICT | HTTPStatus.TOO_MANY_REQUESTS:
            return Unavailable
        case HTTPStatus.PRECONDITION_FAILED if request is not RequestKind.READ:
            return PreconditionFailed
        case HTTPStatus.NOT_IMPLEMENTED:
            return Rejected
        case HTTPStatus.SERVICE_UNAVAILABLE if code in _REFUSED_UNDER_LOAD:
            return Unavailable
    return Rejected if 300 <= status < 500 else OutcomeUnknown


def _status(error: sdk.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: sdk.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _is_damaged(error: sdk.ClientError, status: int) -> bool:
    """Whether an error was sent whose code did not arrive: the SDK then gives the status for a code."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return _code(error) == str(status) and "xml" in headers.get("content-type", "")


def _describe(error: sdk.ClientError, status: int) -> str:
    code, message = _code(error), error.response.get("Error", {}).get("Message", "")
    named = code if code not in ("", str(status)) else ""
    text = " ".join(part for part in (f"{error.operation_name} was answered {status}", named) if part)
    advice = _ADVICE.get(code) or _ADVICE_BY_STATUS.get(HTTPStatus(status) if status in _STATUSES else HTTPStatus.OK)
    return "; ".join(part for part in (f"{text}: {message}" if message else text, advice) if part)


_STATUSES: Final = frozenset(HTTPStatus)
