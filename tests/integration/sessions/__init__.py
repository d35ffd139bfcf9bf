"""The sessions with Redis and Service Bus against real servers that fail on purpose."""
