"""Where the client asks and which key it shows; a key goes to this machine, or through an encrypted line."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import httpx

from hcs.errors import StorageError, UsageError
from hcs.settings import Settings, key_file_beside

VERSION = "/v1"
_KEY = re.compile(r"[!-~]{1,1000}")
_LONGEST_KEY_FILE = 10_000


def read_address(url: str) -> httpx.URL:
    """Return where the API is: the URL as given, without the version at its end.

    Raises:
        UsageError: If it is no http or https URL of a host, or holds a user, a query or a fragment.
    """
    try:
        address = httpx.URL(url.strip().rstrip("/").removesuffix(VERSION))
    except (httpx.InvalidURL, ValueError):
        raise _refusal("something else came") from None
    if address.scheme not in {"http", "https"} or not address.host:
        raise _refusal(f"{url[:80]!a} came" if "@" not in url else "something else came")
    if address.userinfo or address.query or address.fragment:
        raise _refusal("one with a user, a query or a fragment came; a key is given as `key`")
    return address


def check_key(key: str, *, address: httpx.URL, insecure: bool) -> str:
    """Return a key that may be shown at an address, without blanks around it.

    Raises:
        UsageError: If it is none, or would be read by whoever is on the way. The key is not in the message.
    """
    plain = key.strip()
    if not _KEY.fullmatch(plain):
        raise UsageError(
            "a key is a word such as `hcs keys create` prints, without blanks inside, but something else came"
        )
    if address.scheme == "http" and not is_loopback(address.host) and not insecure:
        raise UsageError(
            f"a key goes through https:// or to this machine, but {address} is neither: whoever is on the way could "
            "read it. Have the API served through https, or say insecure=True where the network is your own."
        )
    return plain


def key_at_hand(settings: Settings, *, address: httpx.URL) -> str | None:
    """Return the key of the environment, else, asking this machine, that beside the SQLite catalog; None if none is.

    The key of this machine is good for everything, and no other machine is shown it.

    Raises:
        StorageError: If the file is there and cannot be read.
    """
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    path = _key_file(settings.catalog)
    if path is None or not is_loopback(address.host):
        return None
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_KEY_FILE).decode("ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it holds something else"
        raise StorageError(f"expected the key of this machine in {path}, but it cannot be read: {reason}") from None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine; a name other than localhost is taken for another."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _key_file(catalog: str) -> Path | None:
    """Return where the key of this machine would lie; None for a catalog that is no file."""
    plain = re.sub(r"^sqlite:///", "", catalog)
    return None if "://" in plain or not plain else key_file_beside(Path(plain).expanduser())


def _refusal(came: str) -> UsageError:
    return UsageError(
        f"the URL of an API is expected, such as http://127.0.0.1:8000 or https://hcs.example, but {came}"
    )
