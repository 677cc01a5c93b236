"""SHA-256 fingerprints of certificates: one form for people, one for comparison.

People see what `openssl x509 -fingerprint -sha256`, browsers and `loadmaster-agent fingerprint` show, so that
they can compare. Inside it is plain hexadecimal digits in lower case.
"""


def for_people(fingerprint: str) -> str:
    """`AB:CD:...`, of any form."""
    digits = plain(fingerprint).upper()
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def plain(fingerprint: str) -> str:
    """`abcd...`, of any form."""
    return fingerprint.replace(":", "").strip().lower()
