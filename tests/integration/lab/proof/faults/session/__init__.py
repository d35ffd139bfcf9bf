"""The session under faults and against the limit, in the lab's own trials; and the lab's counters, which must rise."""
