"""What the environment says, read once at the entry points and passed down; nothing else reads it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from hcs.errors import UsageError


class Settings(BaseSettings):
    """Environment variables `HCS_...`. An option of a command beats them."""

    model_config = SettingsConfigDict(env_prefix="HCS_", extra="ignore")

    catalog: str = Field(
        default="hcs-data/catalog.sqlite",
        description="URL of the catalog (`postgresql://...`), or a path for SQLite.",
        repr=False,  # it may hold a password
    )
    parts: str | None = Field(
        default=None,
        description="Folder or URI that the files of units are kept at; by default `parts` beside `catalog.sqlite`, "
        "and `NAME-parts` beside `NAME.sqlite`; required with PostgreSQL.",
    )
    roots: str | None = Field(
        default=None,
        description="Folders and s3://BUCKET/PREFIX under which the API lets deliveries lie, separated by commas; by "
        "default the folder that it was started in.",
    )
    upgrade: bool = Field(
        default=True,
        description="Whether opening a catalog makes its tables and brings those of an older version up to date; "
        "`false` leaves that to `hcs catalog upgrade`.",
    )
    api_url: str = Field(default="http://127.0.0.1:8000", description="Where the client of the API asks.")
    api_key: SecretStr | None = Field(
        default=None,
        description="What the client shows; without it, and asking this machine, the key in the file beside the SQLite "
        "catalog.",
    )
    weights_cache: Path = Field(
        default=Path("~/.cache/hcs/weights"), description="Folder that downloaded safetensors are kept in."
    )
    offline: bool = Field(default=False, description="Never ask the hub for weights.")
    lease_seconds: float = Field(
        default=600.0, ge=1.0, description="How long a unit may be at one step, as one site by one encoder, at most."
    )
    threads: int | None = Field(default=None, ge=1, description="Worker threads; default: the cores of the machine.")


def read_settings() -> Settings:
    """Return what the environment says.

    Raises:
        UsageError: If a variable holds what it cannot mean.
    """
    try:
        return Settings()
    except ValidationError as error:
        (first, *_) = error.errors()
        name = f"HCS_{'_'.join(map(str, first['loc'])).upper()}"
        raise UsageError(f"environment variable {name}: {first['msg']}, got {first['input']!r}") from None


def key_file_beside(catalog: Path) -> Path:
    """Return where the key of this machine lies: `api-key` beside `catalog.sqlite`, `NAME-api-key` beside others."""
    return catalog.with_name("api-key" if catalog.stem == "catalog" else f"{catalog.stem}-api-key")
