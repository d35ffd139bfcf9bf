"""The whole app under faults: something breaks in the middle of a spike, and the books are checked afterwards."""
