"""The spike: thousands order in the same minutes on a fleet of instances, and every accepted order is accounted for."""
