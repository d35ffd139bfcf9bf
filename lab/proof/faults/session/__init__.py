"""The Redis session under faults: real servers, a proxy that fails on purpose, a steady load, and what it counted."""
