"""The Python side of the host: indexes an app and calls its functions, by the rules of the worker 4.34.

Routing, queues and host.json belong to the host, not to the worker.
"""
