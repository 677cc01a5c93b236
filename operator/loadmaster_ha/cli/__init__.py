"""The command lines of the processes; each is thin over the package that does the work."""
