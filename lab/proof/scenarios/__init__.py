"""The sessions side by side in ten situations, each side in processes of its own, under the same deadlines."""
