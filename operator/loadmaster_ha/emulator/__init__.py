"""Azure, emulated: ARM, sign-in and cloud metadata on one TLS port.

For trying the operator without an account, and for its tests.

A request's way through the rooms: `server` (TLS, aiohttp) -> `frontdoor` (token, faults, throttling, journal)
-> `routing` (what is asked for) -> `lifecycle` (PUT, GET, DELETE of any resource) -> the resource's own
module in `network` or `compute` (validation, what the service fills in) -> `store` (SQLite) and `operations`
(long-running ones).

Nothing here imports the operator's own Azure code: a misunderstanding must not be shared by both sides.
"""
