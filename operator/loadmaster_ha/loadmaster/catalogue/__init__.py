"""The commands by subject; `loadmaster.commands` gathers them."""
