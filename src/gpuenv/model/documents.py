"""Nouns to and from JSON."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from gpuenv.errors import FormatError
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, DriverVersion, LibcVersion, PtxIsa

__all__ = ["from_builtins", "from_json", "json_schema", "to_json"]

_SCALARS = (CodeImage, ComputeCapability, CudaVersion, DriverVersion, LibcVersion, PtxIsa)
T = TypeVar("T")


def _encode_scalar(value: Any) -> Any:
    if isinstance(value, _SCALARS):
        return str(value)
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _decode_scalar(kind: type, value: Any) -> Any:
    if kind not in _SCALARS or not isinstance(value, str):
        raise ValueError(f"expected {kind.__name__}")
    try:
        return kind.parse(value)
    except FormatError as error:
        # Only a ValueError gets the place in the document added.
        raise ValueError(error.message) from error


def _scalar_schema(kind: type) -> dict[str, Any]:
    if kind in _SCALARS:
        return {"type": "string", "description": (kind.__doc__ or "").splitlines()[0]}
    raise NotImplementedError(kind.__name__)


def to_json(value: object, *, indent: int = 2) -> str:
    """`value` as the JSON that gpuenv prints and writes; `indent` 0 puts it on one line."""
    compact = msgspec.json.encode(value, enc_hook=_encode_scalar)
    return (msgspec.json.format(compact, indent=indent) if indent else compact).decode()


def from_json(text: str | bytes, kind: type[T]) -> T:
    """The value of type `kind` written in `text`; FormatError names the place where it breaks."""
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_decode_scalar)
    except (msgspec.MsgspecError, UnicodeDecodeError, FormatError, RecursionError) as error:
        raise FormatError(f"not a {kind.__name__} in JSON: {error}") from error


def from_builtins(value: object, kind: type[T]) -> T:
    """The value of type `kind` held in dicts and lists, as TOML gives them; FormatError names the broken place."""
    try:
        return msgspec.convert(value, kind, dec_hook=_decode_scalar)
    except (msgspec.MsgspecError, FormatError) as error:
        raise FormatError(str(error)) from error


def json_schema(kind: type) -> dict[str, Any]:
    """The JSON Schema (2020-12) of `kind`."""
    return msgspec.json.schema(kind, schema_hook=_scalar_schema)
