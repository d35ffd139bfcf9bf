"""The whole app over HTTP, as a caller sees it."""
