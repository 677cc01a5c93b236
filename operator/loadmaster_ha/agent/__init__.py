"""The node agent: gives a Linux node with HAProxy the HA behaviour of a LoadMaster unit."""
