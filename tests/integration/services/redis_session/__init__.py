"""The one connection against real servers: conformance, faults, clocks, bounds."""
