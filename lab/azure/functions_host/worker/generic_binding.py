"""The converter for bindings that azure.functions has none for, and for parameters annotated str or bytes."""

from __future__ import annotations

from typing import Any, ClassVar

from azure.functions.meta import Datum


class GenericBinding:
    """Shaped as the converters of azure.functions: text and bytes pass as they are."""

    NAME: ClassVar[str] = "generic"

    @staticmethod
    def check_input_type_annotation(pytype: type) -> bool:
        return issubclass(pytype, (str, bytes))

    @staticmethod
    def check_output_type_annotation(pytype: type) -> bool:
        return issubclass(pytype, (str, bytes, bytearray))

    @staticmethod
    def decode(data: Datum | None, *, trigger_metadata: Any) -> Any:
        """The value that came. Raises ValueError for what is no text."""
        if data is None or data.type in ("string", "bytes", "json"):
            return None if data is None else data.value
        raise ValueError(f'unexpected type of data received for the "generic" binding: {data.type!r}')
