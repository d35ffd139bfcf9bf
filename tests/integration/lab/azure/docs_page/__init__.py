"""The page /docs of the lab, over HTTP and in a real browser."""
