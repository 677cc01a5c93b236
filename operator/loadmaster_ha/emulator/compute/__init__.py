"""Microsoft.Compute, as far as pairs of LoadMasters need it: availability sets and virtual machines."""
