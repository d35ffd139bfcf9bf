"""Hostile input, over HTTP and on the queue. `make fuzz` runs these at full length; FUZZ_REQUESTS says how long."""
