"""What the commands do: a module per subject, an asynchronous function per command (`dispatch.handles`)."""
