"""The LoadMaster management API: its wire (v1 XML, v2 JSON), defined once for server and client.

`commands` says what can be asked, `values` and `shapes` how it is written, `v1` and `v2` write and read whole
requests and replies, `parameters` names what `get`, `set` and `getall` know, `redaction` keeps secrets out
of logs. Everything here is pure: no sockets, no files.
"""
