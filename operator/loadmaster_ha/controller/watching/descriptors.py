"""How many files and connections this process may have open: as many as the system lets it."""

import logging
import resource
from typing import Final

log = logging.getLogger(__name__)

WANTED: Final = 65536
"""A thousand pairs need some six thousand; a login shell's limit is often 1,024."""


def allow_many() -> int:
    """Raise the soft limit of open descriptors towards the hard one; what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError) as problem:
            log.warning("The limit of open descriptors stays at %d: %s", soft, problem)
        else:
            soft = most
    return soft
