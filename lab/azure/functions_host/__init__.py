"""A light Azure Functions host: indexes an app, serves its HTTP functions and feeds its Service Bus functions.

Only public `azure.functions` API. Follows the rules measured on the real host 4.1037 with the Python worker 4.34; it is
lighter than that worker, so its figures say nothing about the speed of Azure Functions itself.
"""

from __future__ import annotations

from lab.azure.functions_host.function_index import FunctionIndex, index_app, index_folder
from lab.azure.functions_host.host import FunctionsHost
from lab.azure.functions_host.host_json import HostConfig, ServiceBusOptions

__all__ = ["FunctionIndex", "FunctionsHost", "HostConfig", "ServiceBusOptions", "index_app", "index_folder"]
