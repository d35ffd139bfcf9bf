"""A session with an identity: renewed, revoked, refused and slow credentials against a real Valkey."""
