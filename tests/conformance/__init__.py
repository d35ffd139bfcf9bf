"""redis-py's own tests of its asyncio client, run on the multiplexed one. `python -m tests.conformance --help`."""
