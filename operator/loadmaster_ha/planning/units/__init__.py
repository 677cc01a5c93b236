"""Planning what is done on the units themselves: HA settings, reboots, virtual services. Pure."""
