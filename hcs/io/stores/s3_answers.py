"""What an S3 store says when it does not do what it was asked: which of it may pass, and what to tell people."""

from __future__ import annotations

import errno
import os
from typing import Any

from botocore import exceptions

from hcs.errors import HcsError, InputChangedError, MissingFileError, StorageError, StoreUnavailableError
from hcs.io.uris import shown

_BUSY = frozenset({"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded"})
_BUSY_STATUS = frozenset({429, 502, 503, 504})
_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "NotFound", "404"})
_ARCHIVED = "InvalidObjectState"
_WRONG_KEY = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "TokenRefreshRequired",
        "AuthorizationHeaderMalformed",
        "RequestTimeTooSkewed",
    }
)
_NO_KEY = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
    exceptions.TokenRetrievalError,
    exceptions.UnauthorizedSSOTokenError,
)
_LOST = (exceptions.ConnectionError, exceptions.HTTPClientError)
_TORN = (exceptions.IncompleteReadError, exceptions.ResponseStreamingError, exceptions.FlexibleChecksumError)

_GIVE_KEYS = (
    "give a key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in AWS_PROFILE, or the machine a role, and "
    "the address of a store other than Amazon's in AWS_ENDPOINT_URL_S3"
)


def status_of(error: Exception) -> int:
    """Return the HTTP status of an answer, 0 where there was none."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def code_of(error: Exception) -> str:
    """Return what the store calls an error, empty where it did not answer."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or "")


def is_missing(error: Exception) -> bool:
    """Return whether the store answered that there is no such object or bucket."""
    return code_of(error) in _MISSING


def is_passing(error: Exception) -> bool:
    """Return whether the same question may be answered a little later: the store is busy, or an answer got lost."""
    if isinstance(error, exceptions.SSLError):
        return False
    return (
        isinstance(error, (*_LOST, *_TORN))
        or code_of(error) in _BUSY
        or status_of(error) in _BUSY_STATUS
        or status_of(error) == 500
    )


def explain(error: Exception, *, uri: str, verb: str, endpoint: str, is_anonymous: bool) -> HcsError:
    """Return the error that tells people what the store said and what to do; no key is in it.

    Args:
        error: Of botocore.
        uri: What was asked for.
        verb: What was to be done with it.
        endpoint: The address of the store.
        is_anonymous: Whether there was no key to ask with.
    """
    what, store = f"cannot {verb} {shown(uri)}", shown(endpoint)
    if isinstance(error, exceptions.ClientError):
        return _of_answer(error, what, store, uri=uri, is_anonymous=is_anonymous)
    if isinstance(error, _NO_KEY):
        return StoreUnavailableError(f"{what}: {_sentence(error)}; {_GIVE_KEYS}")
    if isinstance(error, _TORN):
        return StorageError(
            f"{what}: the store {store} ended its answer too early, several times ({_sentence(error)}); try again, and "
            "copy the object again if it stays so"
        )
    if isinstance(error, _LOST):
        return StoreUnavailableError(
            f"{what}: the store {store} does not answer ({_sentence(error)}); check AWS_ENDPOINT_URL_S3, the network "
            "and the proxy, and give the same command again: what is done stays done"
        )
    return StorageError(f"{what}: the store {store} cannot be asked ({type(error).__name__}: {_sentence(error)})")


def _of_answer(error: exceptions.ClientError, what: str, store: str, *, uri: str, is_anonymous: bool) -> HcsError:
    code, status = code_of(error), status_of(error)
    if is_missing(error):
        bucket = uri.partition("://")[2].partition("/")[0]
        why = (
            f"there is no bucket {bucket!r} at {store}; check its name and AWS_ENDPOINT_URL_S3"
            if code == "NoSuchBucket"
            else f"{os.strerror(errno.ENOENT)}; check the path"
        )
        return MissingFileError(f"{what}: {why}")
    if status == 412:
        return InputChangedError(
            f"expected {shown(uri)} as it was when the plate was listed, but it was changed since; give the same "
            "command again when nobody writes there any more: what is done stays done"
        )
    if code == _ARCHIVED:
        return StorageError(f"{what}: the object lies in an archive; restore it first, or copy it to another class")
    if status in (401, 403) or code in _WRONG_KEY:
        return StoreUnavailableError(_refused(what, code or str(status), store, is_anonymous=is_anonymous))
    if code in _BUSY or status in _BUSY_STATUS:
        return StoreUnavailableError(
            f"{what}: the store {store} is too busy ({code or status}), also after several attempts; give the same "
            "command again later, or with fewer --threads or workers: what is done stays done"
        )
    return StorageError(f"{what}: the store {store} says {code or status} ({_sentence(error)})")


def _refused(what: str, code: str, store: str, *, is_anonymous: bool) -> str:
    if is_anonymous:
        return f"{what}: no key was found, and {store} lets nobody in without one ({code}); {_GIVE_KEYS}"
    if code in _WRONG_KEY:
        return f"{what}: {store} does not take the key that was given ({code}); {_GIVE_KEYS}"
    return (
        f"{what}: {store} does not let this key do it ({code}); let it list and get what is delivered "
        "(s3:ListBucket, s3:GetObject), and put and delete where parts are kept, or give another key"
    )


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()).removesuffix(".")
    return shown(text) if len(text) <= 200 else shown(text)[:197] + "..."
