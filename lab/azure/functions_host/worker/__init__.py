"""The Python side of the host: indexes an app and calls its functions, by the rules of the worker 4.34.

It never routes, keeps no queue and reads no host.json: that is the host's.
"""
