"""The sessions with Redis and Service Bus, as far as no server is needed."""
