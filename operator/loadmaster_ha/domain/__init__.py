"""The words and rules of LoadMaster HA: standard library only, no I/O, known to every other package."""
