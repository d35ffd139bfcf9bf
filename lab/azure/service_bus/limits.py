"""How much one peer may take, and how long it may be silent."""

from __future__ import annotations

MAX_FRAME = 65536  # bytes we accept in one frame
MAX_MESSAGE = 256 * 1024  # bytes; Standard tier (page "Service Bus quotas")
MAX_SESSIONS = 64  # per connection
MAX_LINKS = 255  # per session
MAX_PARTIALS = 16  # messages under way in pieces, per connection
MAX_WAITING = 64  # requests that wait for their reply link, per connection
LINK_CREDIT = 500  # messages a sender may have unconfirmed
WINDOW = 2048  # transfer frames a session may have unacknowledged
MAX_UNSETTLED = 5000  # deliveries a session remembers; the oldest is forgotten, its lock runs out by itself
WRITE_BUFFER = 1024 * 1024  # bytes a peer may leave unread before we stop serving and reading it
HANDSHAKE_S = 30.0  # from connect to open
IDLE_S = 120.0  # announced idle-time-out: a peer silent for twice as long is dropped
