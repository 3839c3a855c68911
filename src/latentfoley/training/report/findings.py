"""What a diagnosis returns: a finding, also where a measure could not be made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from latentfoley.errors import UserError


@dataclass(frozen=True)
class Finding:
    """One failure that was looked for.

    Attributes:
        name: the failure, in a few words.
        status: whether the run has it; "unknown" where that was not measured.
        advice: what was seen and, where the failure was found, what to do about it; or why it was
            not measured.
        figure: the numbers behind the status; "" where there are none.
    """

    name: str
    status: Literal["found", "clear", "unknown"]
    advice: str
    figure: str = ""

    @property
    def line(self) -> str:
        """The finding as one line of a terminal."""
        if self.status == "unknown":
            return f"{self.name}: {self.advice[0].lower()}{self.advice[1:]}"
        return f"{self.name}: {'found' if self.status == 'found' else 'no'}. {self.figure}"


class UnmeasuredError(Exception):
    """The run does not hold what a measure needs; the message says what is missing."""


def decide(name: str, found: bool, *, advice: str, clear: str, figure: str) -> Finding:
    """Return the finding of a failure that was measured."""
    return Finding(name, "found" if found else "clear", advice if found else clear, figure)


def look_for(name: str, diagnose: Callable[[], Finding]) -> Finding:
    """Return what `diagnose` finds, or why it cannot: data, a model or a log that is missing."""
    try:
        return diagnose()
    except (UnmeasuredError, UserError) as reason:
        return not_measured(name, reason)


def not_measured(name: str, because: object) -> Finding:
    """Return the finding of a failure that could not be looked for."""
    return Finding(name, "unknown", f"Not measured, because {str(because).rstrip('.')}.")
