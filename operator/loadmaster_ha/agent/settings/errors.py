"""What can go wrong with the settings, in words for the person who has to do something about it."""


class StoreError(Exception):
    """The store cannot do what was asked; the message says what, where, and what to do."""


class StoreDamaged(StoreError):  # noqa: N818 - reads as what is the case
    """What the file holds is not what was written."""


class StoreTooNew(StoreError):  # noqa: N818 - reads as what is the case
    """A later release wrote the file."""


class StoreInUse(StoreError):  # noqa: N818 - reads as what is the case
    """Another process has the file open."""


class StoreUnavailable(StoreError):  # noqa: N818 - reads as what is the case
    """The file cannot be opened or made."""


class StoreFull(StoreError):  # noqa: N818 - reads as what is the case
    """There is no room on the disk: nothing was changed, and reading goes on."""


class StoreFailed(StoreError):  # noqa: N818 - reads as what is the case
    """The disk refused a write: nothing was changed, and reading goes on."""


class SettingRefused(ValueError):  # noqa: N818 - reads as what is the case
    """A change that the store cannot hold, whatever the disk says; the message names the setting."""
