"""The report of the spikes as a browser shows it."""
