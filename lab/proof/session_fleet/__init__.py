"""A fleet against the limit: many processes, each with a session of its own, and a server that lets in few clients."""
