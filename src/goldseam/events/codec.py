"""One event class and its bytes: msgspec, dataclass, attrs or pydantic, checked both ways."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import msgspec.inspect

from goldseam.errors import InvalidEvent

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]


def codec_for(name: str, kind: type) -> tuple[Encode, Decode]:
    """How instances of ``kind`` become bytes and come back.

    The encoder decodes its own result before it returns it: what a reader could not read
    (a text in a number field, a NaN that JSON has no word for) is refused before it is stored.
    """
    if hasattr(kind, "__pydantic_validator__"):
        return _checked(name, kind, _encode_pydantic, _pydantic_decoder(kind))
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind, dec_hook=_from_foreign)
    return _checked(name, kind, _encoder.encode, decoder.decode)


def checked_json(name: str, fields: object) -> bytes:
    """``fields`` as JSON that every reader reads as the same values.

    Raises:
        InvalidEvent: JSON cannot hold them.
    """
    encode, _ = _checked(name, dict, _encoder.encode, msgspec.json.decode)
    return encode(fields)


def _checked(name: str, kind: type, encode: Encode, decode: Decode) -> tuple[Encode, Decode]:
    may_hold_floats = _may_hold_floats(kind)

    def encode_checked(event: Any) -> bytes:
        try:
            payload = encode(event)
            decode(payload)
            if may_hold_floats:
                _refuse_not_finite(msgspec.to_builtins(event, enc_hook=_to_foreign))
        except RecursionError:
            raise InvalidEvent(name, "it is nested too deeply") from None
        except (ValueError, TypeError, OverflowError, NotImplementedError) as error:
            raise InvalidEvent(name, without_values(error)) from None
        return payload

    return encode_checked, decode


def without_values(error: Exception) -> str:
    """What went wrong, without the values: messages end in logs, values may be personal."""
    if isinstance(error, msgspec.ValidationError | NotFinite):
        return _QUOTED.sub("...", str(error))
    if isinstance(error, UnicodeError):
        return "a text has characters that UTF-8 cannot encode (lone surrogates)"
    if isinstance(error, OverflowError):
        return "a number is too large (integers go from -2**63 to 2**64 - 1)"
    return f"{type(error).__name__} while encoding it"


class NotFinite(ValueError):
    """NaN or infinity: JSON has no word for them."""


def _refuse_not_finite(value: object) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotFinite("a number is NaN or infinite, which JSON cannot hold")
    elif isinstance(value, Mapping):
        for item in value.values():
            _refuse_not_finite(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _refuse_not_finite(item)


def _may_hold_floats(kind: type) -> bool:
    """Whether an instance may hold a float: then each is looked through for NaN and infinity."""
    try:
        return _has_floats(msgspec.inspect.type_info(kind), set())
    except (TypeError, NotImplementedError):
        return True


def _has_floats(described: object, seen: set[type]) -> bool:
    if isinstance(described, _MAY_BE_FLOAT):
        return True
    if isinstance(described, tuple):
        return any(_has_floats(one, seen) for one in described)
    if not isinstance(described, msgspec.inspect.Type | msgspec.inspect.Field):
        return False
    kind = getattr(described, "cls", None)
    if kind is not None:
        if kind in seen:
            return False
        seen.add(kind)
    parts = (getattr(described, name) for name in described.__struct_fields__)
    return any(_has_floats(part, seen) for part in parts)


def _to_foreign(value: object) -> object:
    if hasattr(value, "__pydantic_serializer__"):
        return value.model_dump(mode="json")  # type: ignore[attr-defined]
    raise NotImplementedError(f"objects of type {type(value).__name__} cannot be stored")


def _from_foreign(kind: type, value: object) -> object:
    if hasattr(kind, "__pydantic_validator__"):
        return kind.model_validate(value)  # type: ignore[attr-defined]
    raise NotImplementedError(f"objects of type {kind.__name__} cannot be read")


def _encode_pydantic(event: Any) -> bytes:
    encoded: bytes = event.__pydantic_serializer__.to_json(event)
    return encoded


def _pydantic_decoder(kind: Any) -> Decode:
    validate = kind.__pydantic_validator__.validate_json

    def decode(payload: bytes) -> Any:
        return validate(payload)

    return decode


_QUOTED = re.compile(r"(['\"]).*\1")
_MAY_BE_FLOAT = (
    msgspec.inspect.AnyType,
    msgspec.inspect.CustomType,
    msgspec.inspect.FloatType,
)
_encoder = msgspec.json.Encoder(enc_hook=_to_foreign)
