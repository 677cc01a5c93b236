"""The LoadMaster management API: its wire (v1 XML, v2 JSON), defined once for both sides, and the client.

The wire is pure: `commands` says what can be asked, `values` and `shapes` how it is written, `v1` and `v2`
write and read whole requests and replies, `parameters` names what `get`, `set` and `getall` know, `redaction`
keeps secrets out of logs. The agent uses nothing else of this package.

The operator calls units by `client`, which stands on `connections` (HTTP and TLS), `trust`, `pacing`,
`version_choice`, `http_messages`, `replies`, `recognition` and `faults`. What it asks is `observer`, what it
writes is `writer`, each with the modules that they name.
"""
