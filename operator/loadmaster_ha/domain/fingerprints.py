"""SHA-256 fingerprints of certificates: one form for people, one for comparison.

People see what `openssl x509 -fingerprint -sha256`, browsers and `loadmaster-agent fingerprint` show, so that
they can compare, and paste it as they find it. Inside it is plain hexadecimal digits in lower case.
"""

import re
from typing import Final

FORM: Final = r"^ *([sS][hH][aA]-?256( [fF]ingerprint)? *[=:] *)?([0-9a-fA-F]{2}[: ]?){31}[0-9a-fA-F]{2} *$"
"""What is taken for one: with or without the words before it, colons or blanks, in either case. The
expression is in the common subset of RE2 (API server) and Python."""

FORM_IN_WORDS: Final = (
    "a SHA-256 fingerprint has 64 hexadecimal digits, with or without colons: take it as "
    "`openssl x509 -noout -fingerprint -sha256` or `loadmaster-agent fingerprint` prints it"
)
"""For whoever wrote something else."""

_LABEL: Final = re.compile(r"^ *sha-?256( fingerprint)? *[=:] *", re.IGNORECASE)


def for_people(fingerprint: str) -> str:
    """`AB:CD:...`, of any form."""
    digits = plain(fingerprint).upper()
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def plain(fingerprint: str) -> str:
    """`abcd...`, of any form."""
    return _LABEL.sub("", fingerprint).replace(":", "").replace(" ", "").strip().lower()


def checked(fingerprint: str) -> str:
    """The same, if it is one.

    Raises:
        ValueError: it is none; the message tells what one looks like.
    """
    if re.fullmatch(FORM, fingerprint) is None:
        raise ValueError(FORM_IN_WORDS)
    return fingerprint
