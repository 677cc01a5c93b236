"""The one error of this package: something a person has to read and can act on."""


class ControlPlaneError(Exception):
    """A control plane could not be had or did not start; the message says what to do."""
