"""The partner link (TCP 6973): TLS, mutual proof of the shared secret, frames, heartbeats."""
