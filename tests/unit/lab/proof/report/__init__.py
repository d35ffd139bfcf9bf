"""The report of the spikes, as far as no browser is needed."""
