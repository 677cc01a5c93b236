"""What can be wrong with a write that the unit itself took, or that was not sent. No secrets in here.

Everything that the unit or the way to it is to blame for is a `faults.UnitFault`.
"""

from collections.abc import Sequence

from loadmaster_ha.domain.differences import Difference


class WriteError(Exception):
    """A change was not carried out as planned. `reason` is a CamelCase word for conditions."""

    reason = "WriteFailed"


class NotKeptError(WriteError):
    """The unit said that it was done, and reads back something else.

    Attributes:
        mismatches: which fields (by their names in the management API), what was wanted, what is there.
    """

    reason = "ValueNotKept"

    def __init__(self, what: str, mismatches: Sequence[Difference]) -> None:
        told = "; ".join(str(each) for each in mismatches)
        super().__init__(
            f"{what} was accepted but did not stick: {told}. The unit's firmware may not allow the value, or "
            "somebody else changes it at the same time."
        )
        self.mismatches = tuple(mismatches)


class OutdatedPlanError(WriteError):
    """What the change is about is not there any more, or is another one by now. Nothing was written."""

    reason = "PlanOutdated"
