"""Whose move is it when S3 says no? botocore's many exceptions, sorted into sentences.

Only error codes, URIs and the endpoint without user information reach a message: server texts and exception texts may
quote keys, signatures and proxies with passwords.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from botocore import exceptions as boto

from assay_runner.errors import AuditError, InvalidInput, NotYet
from assay_runner.stores.patience import Transient

_CREDENTIALS_HINT: Final = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment, or the Secret of spec.storage.secretRef"
)
_BAD_CREDENTIALS: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
    # versitygw's word for an unknown access key, sent as a 404.
    | {"XAdminUserNotFound"}
)
_WRONG_REGION: Final = frozenset(
    {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_PASSING: Final = frozenset(
    {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling", "ThrottlingException"}
    | {"RequestTimeTooSkewed", "RequestLimitExceeded", "TooManyRequests", "OperationAborted", "408", "429"}
)
_NO_CREDENTIALS: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.TokenRetrievalError,
)


def public_endpoint(url: str) -> str:
    """The endpoint without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.hostname or "?"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}"


def translate(error: Exception, verb: str, uri: str, endpoint: str) -> AuditError | Transient:
    """The sentence for a failed request.

    Args:
        error: what botocore raised.
        verb: what was tried, for example "read".
        uri: the s3:// URI.
        endpoint: public endpoint.

    Returns:
        `Transient` where a later attempt may succeed, `NotYet` where somebody has to mend something there,
        `InvalidInput` where the spec has to change.
    """
    if isinstance(error, boto.ClientError):
        return _refused(error, verb, uri, endpoint)
    if isinstance(error, _NO_CREDENTIALS):
        return NotYet(f"no usable credentials to {verb} {uri} at {endpoint}: {_CREDENTIALS_HINT}")
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return NotYet(
            f"the certificate of {endpoint} is not trusted, so {uri} cannot be reached: name its CA certificates in "
            "spec.storage.caBundleRef, or AWS_CA_BUNDLE for local runs"
        )
    if isinstance(error, boto.EndpointConnectionError):
        return Transient(f"cannot connect to {endpoint} to {verb} {uri}")
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        return Transient(f"{endpoint} does not answer in time to {verb} {uri}")
    if isinstance(error, boto.HTTPClientError | boto.IncompleteReadError | boto.ResponseStreamingError):
        return Transient(f"the connection to {endpoint} broke while trying to {verb} {uri}")
    return InvalidInput(f"cannot {verb} {uri} at {endpoint} ({type(error).__name__}): correct the URI or spec.storage")


def code_of(error: boto.ClientError) -> str:
    """The server's error code; the HTTP status where it gave none."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def status_of(error: boto.ClientError) -> int:
    """The HTTP status."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _refused(error: boto.ClientError, verb: str, uri: str, endpoint: str) -> AuditError | Transient:
    code, status = code_of(error), status_of(error)
    if code in _PASSING or (status >= 500 and status != 501):
        return Transient(f"{endpoint} cannot {verb} {uri} now ({code})")
    if code == "NoSuchBucket":
        bucket = urlsplit(uri).netloc
        return NotYet(
            f"bucket {bucket} does not exist at {endpoint}, needed to {verb} {uri}: create it or correct the URI"
        )
    if code in _BAD_CREDENTIALS:
        return NotYet(f"{endpoint} does not accept the credentials ({code}) to {verb} {uri}: {_CREDENTIALS_HINT}")
    if code in ("NoSuchKey", "404") or status == 404:
        return NotYet(f"{uri} does not exist at {endpoint}: correct the URI or put the object there")
    if code in _WRONG_REGION:
        region = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
        return InvalidInput(
            f"the bucket of {uri} is in another region than asked ({code}): set spec.storage.region"
            + (f" to {region}" if region else "")
        )
    if status == 403:
        return NotYet(
            f"{endpoint} does not allow these credentials to {verb} {uri} ({code}): grant them access, or "
            + _CREDENTIALS_HINT
        )
    return InvalidInput(f"{endpoint} refuses to {verb} {uri} ({code}): correct the URI or spec.storage")
