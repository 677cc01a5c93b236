"""The HA engine, sans-IO: `engine.step(state, event, now) -> (state, effects)`; no clock, no sockets."""
