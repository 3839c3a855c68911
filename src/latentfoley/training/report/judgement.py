"""What a diagnosis says: a finding, and why a measure could not be made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from latentfoley.errors import UserError

Status = Literal["found", "clear", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One failure that was looked for.

    Attributes:
        signature: the failure, in a few words.
        status: whether it is there; "unknown" where it was not measured.
        said: what was seen and, where it was found, what to do; or why it was not measured.
        figure: the numbers that it rests on; "" where there are none.
    """

    signature: str
    status: Status
    said: str
    figure: str = ""

    @property
    def line(self) -> str:
        """The finding as one line of a terminal."""
        if self.status == "unknown":
            return f"{self.signature}: {self.said[0].lower()}{self.said[1:]}"
        return f"{self.signature}: {'found' if self.status == 'found' else 'no'}. {self.figure}"


class UnmeasuredError(Exception):
    """The run does not hold what a measure needs; the message says what is missing."""


def look_for(signature: str, judge: Callable[[], Finding]) -> Finding:
    """Return what `judge` finds, or why it cannot: a part, a recording, a log that is not there."""
    try:
        return judge()
    except (UnmeasuredError, UserError) as reason:
        return not_measured(signature, reason)


def not_measured(signature: str, because: object) -> Finding:
    """Return the finding of what could not be looked for."""
    return Finding(signature, "unknown", f"Not measured, because {str(because).rstrip('.')}.")


def share(value: float) -> str:
    """Return a share as a percentage of two digits.

    Example:
        >>> share(0.0312)
        '3.1 %'
    """
    return f"{100 * value:.2g} %" if abs(value) < 0.995 else f"{100 * value:.0f} %"
