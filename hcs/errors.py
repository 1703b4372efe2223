"""Every error that a caller can be told about, with the exit code that the command line gives it.

A message is one paragraph: what was expected, what came, where, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.api import FieldError, Problem


class HcsError(Exception):
    """Something that can be explained to the person who asked. `exit_code` is the command line's."""

    exit_code = 1


class UsageError(HcsError, ValueError):
    """The request itself is wrong: an unknown name, a malformed option or SCREEN.yaml."""

    exit_code = 2


class ScreenFileError(UsageError):
    """A SCREEN.yaml that cannot be read or does not say what it must."""


class TemplateError(UsageError):
    """A template of runs on Kubernetes that no RayJob can be made from."""


class UnknownLayoutError(UsageError):
    """A layout name that nobody registered."""


class PatternError(UsageError):
    """A filename template that cannot be understood."""


class UnknownEncoderError(UsageError, LookupError):
    """An encoder name that nobody knows; the message offers the nearest names."""


class NotFoundError(UsageError, LookupError):
    """A run, perturbation, plate or well that the catalog does not hold."""


class ConflictError(UsageError):
    """A request that what is there now does not allow: a run that goes on, a key that was used for something else."""


class NotAllowedError(UsageError):
    """A place outside the roots that may be read."""


class InputRejectedError(HcsError, ValueError):
    """What was delivered cannot be worked with."""

    exit_code = 4


class DeliveryError(InputRejectedError):
    """A delivery without images, or one that its layout cannot be read from."""


class PlatemapError(InputRejectedError):
    """A platemap that cannot be read, or that does not fit the plate."""


class ChannelMismatchError(InputRejectedError):
    """Channels that are missing, or that an encoder was not made for."""


class WeightsError(InputRejectedError):
    """Weights that are missing, corrupt, or do not fit the encoder."""


class UnreadableImageError(InputRejectedError, OSError):
    """One image that cannot be decoded; its site becomes a row with this reason."""


class ImplausibleImageError(UnreadableImageError):
    """One image that declares far more pixels than it can hold; it is refused before it is decoded."""


class PixelsError(UnreadableImageError):
    """Pixels that were decoded but cannot be used: another shape than their plate's, or values that are not finite."""


class InputChangedError(InputRejectedError):
    """An image whose content is not what a run has already read."""


class StorageError(HcsError, OSError):
    """A catalog, part or folder that cannot be written or read: permissions, a full disk, a torn file."""


class MissingFileError(StorageError, FileNotFoundError):
    """A file, folder, object or bucket that is not there."""


class StoreUnavailableError(StorageError):
    """An object store that does not answer, is too busy, or refuses the key: no object's fault, and no unit's."""


class DatabaseLostError(StorageError):
    """The connection to the catalog's database broke before a change was kept: asking again is safe."""


class CatalogError(HcsError):
    """The catalog is not what this version of the project expects."""


class LeaseLostError(CatalogError):
    """A write with a fence that is no longer the unit's, or work on a run that is claimed no longer: another has it."""


class CancelledError(HcsError):
    """Work that stopped because somebody asked it to."""

    exit_code = 130


class EngineError(HcsError, RuntimeError):
    """A process that cannot compute what a run is pinned to: another engine, version or instruction set."""


class ModelOutputError(HcsError, ArithmeticError):
    """An encoder that computed NaN or infinity; nothing of it is stored."""


class TrainingError(HcsError, ArithmeticError):
    """A training cannot go on as it was asked for: its loss is not finite, or memory does not suffice."""

    exit_code = 2


class ApiError(HcsError):
    """The API answered a request with a problem; `status`, `title`, `detail` and `errors` say which."""

    def __init__(self, problem: Problem) -> None:
        """Tell a problem as the API told it."""
        super().__init__(problem)
        self.problem = problem

    @property
    def status(self) -> int:
        """HTTP's number, such as 404."""
        return self.problem.status

    @property
    def title(self) -> str:
        """The kind of problem in a few words."""
        return self.problem.title

    @property
    def detail(self) -> str:
        """What was expected, what came, where, and what to do."""
        return self.problem.detail

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """Each thing that is wrong with the request, with the JSON pointer or the parameter that it stands at."""
        return self.problem.errors

    def __str__(self) -> str:
        """Return one paragraph."""
        problem = self.problem
        said = problem.detail
        if len(problem.errors) > 1:
            said = "; ".join(f"{error.pointer or error.parameter}: {error.detail}" for error in problem.errors)
        number = f", request {problem.request_id}" if problem.request_id else ""
        return f"{said} (answer {problem.status} to {problem.instance}{number})"


class ApiKeyError(ApiError):
    """The API wants a key, or does not know the one that it was shown (401)."""


class ApiNotAllowedError(ApiError, NotAllowedError):
    """The key is not good for the request, or a place lies outside the roots of the server (403)."""


class ApiNotFoundError(ApiError, NotFoundError):
    """The API does not know the run, plate, well or perturbation; or a list changed while it was read (404)."""


class ApiConflictError(ApiError, ConflictError):
    """What is there does not allow the request: a run that goes on, an Idempotency-Key used before (409)."""


class ApiInvalidError(ApiError, UsageError):
    """The request does not say what it must (422)."""


class NoAnswerError(HcsError, ConnectionError):
    """The API was not reached, or the line broke, for as long as the client had patience."""


class AnswerError(HcsError, ValueError):
    """An answer that the client cannot read: something else serves there, or another version."""


class WaitedTooLongError(HcsError, TimeoutError):
    """A run that is not at its end within the time that its caller waits."""


class KubernetesError(HcsError):
    """The Kubernetes API refused a request, or gave no answer; it may have said in how many seconds to ask again."""

    def __init__(self, said: str, *, retry_after: float | None = None) -> None:
        """Say what was asked, what came, and what to do."""
        super().__init__(said)
        self.retry_after = retry_after


class KubernetesNotAllowedError(KubernetesError, PermissionError):
    """Who asks is not allowed to (403), or not known (401): then it `is_unknown`."""

    is_unknown = False


class KubernetesQuotaError(KubernetesError):
    """The namespace has a quota, and what is asked for does not fit into what is left of it (403)."""


class KubernetesNotFoundError(KubernetesError, LookupError):
    """An object, a namespace or a kind of objects that is not there (404)."""


class KubernetesConflictError(KubernetesError):
    """An object of this name is there, or it is not the one that was meant any more (409)."""


class KubernetesGoneError(KubernetesError):
    """Changes since a moment that the API remembers no longer (410): everything is listed anew."""


class KubernetesInvalidError(KubernetesError, ValueError):
    """An object that the API does not take as it is (400, 422)."""


class KubernetesBusyError(KubernetesError):
    """The API has too much to do, or is broken (429, 5xx)."""


class KubernetesUnreachableError(KubernetesError, ConnectionError):
    """No answer, or one that breaks off: whether it was done is not known."""
