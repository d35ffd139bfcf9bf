"""The worker's converter for Service Bus messages, with a faster clock reader.

strptime with 13 formats takes 1.5 ms of a message's 1.7. Were the worker's method renamed, messages would only be
slower.
"""

from __future__ import annotations

import re
from datetime import datetime

from azure.functions.servicebus import ServiceBusMessageInConverter

FRACTION = re.compile(r"\.(\d+)")


class ServiceBusBinding(ServiceBusMessageInConverter, binding=None):
    """Decodes as its parent."""

    @classmethod
    def _parse_datetime(cls, datetime_str: str | None) -> datetime | None:
        if not datetime_str:
            return None
        return datetime.fromisoformat(FRACTION.sub(lambda found: f".{found[1][:6]:0<6}", datetime_str))
