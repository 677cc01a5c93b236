"""The LoadMaster management API: its wire (v1 XML, v2 JSON), defined once for server and client."""
