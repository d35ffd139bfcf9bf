"""What the blueprints call: the business, its state in Redis, the two module-scope sessions. Never imports upwards."""
