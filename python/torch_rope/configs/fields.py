"""A configuration's fields, read only: an object's attributes or a dict's entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

# Where a configuration of several models keeps the one of its language model.
_OF_LANGUAGE = "text_config"


def refuse(problem: str) -> NoReturn:
    raise ValueError(f"Schedule.from_config: {problem}")


def checked_seq_len(seq_len: int | None) -> int | None:
    if seq_len is None:
        return None
    if isinstance(seq_len, bool) or not isinstance(seq_len, int) or seq_len < 0:
        refuse(f"seq_len must be None or an integer from 0, got {seq_len!r}")
    return seq_len


class Fields:
    """config: a configuration of transformers or Megatron-LM's arguments, an object or a dict, or a
    dict of GGUF metadata.

    A field that is None counts as absent.
    """

    def __init__(self, config: Any) -> None:
        if config is None or isinstance(config, (str, bytes)):
            raise TypeError(
                "Schedule.from_config: config must be a transformers config or a dict, got"
                f" {type(config).__name__}"
            )
        self._config = config

    @property
    def is_dict(self) -> bool:
        return isinstance(self._config, Mapping)

    def get(self, *names: str) -> Any:
        """The first of these fields that is there, or None."""
        for name in names:
            value = self._config.get(name) if self.is_dict else getattr(self._config, name, None)
            if value is not None:
                return value
        return None

    def number(self, *names: str) -> float | None:
        value = self.get(*names)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            refuse(f"{names[0]} must be a number, got {value!r}")
        return value

    def __iter__(self) -> Iterator[str]:
        """The names of the fields that are there."""
        fields = self._config if self.is_dict else vars(self._config)
        return (str(name) for name, value in fields.items() if value is not None)

    @property
    def of_language_model(self) -> Fields | None:
        inner = self.get(_OF_LANGUAGE)
        return None if inner is None else Fields(inner)
