"""The settings of a unit: what they are, where they are stored, how two units agree on them."""
