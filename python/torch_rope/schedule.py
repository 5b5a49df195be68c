"""Schedule: the frequencies of a rotation, as a value that cannot change.

The builders in schedules.py make them; the module and users hand them to the operators.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NoReturn, TypedDict

import torch
from torch import Tensor

from torch_rope import ops

_MAX_AXES = 4
_MAX_PAIRS = 512


class Angles(TypedDict):
    """The keywords of the operators that a schedule stands for."""

    inv_freq: Tensor
    attention_factor: float


class Schedule:
    """Frequencies in radians per position and the factor of their cosines and sines.

    inv_freq: float32 or float64 tensor (or a sequence of floats), finite, taken as exact: (n,) with
    n = rotary_dim / 2, (A, n) for A <= 4 position axes, or (A, H, n) with own frequencies for each
    head. attention_factor: finite and > 0.

    Frozen: attributes cannot be set and `inv_freq` gives a copy, so schedules can be compared,
    hashed and shared. ValueError on bad values, TypeError on bad types.
    """

    __slots__ = ("__weakref__", "_attention_factor", "_inv_freq", "_turns")

    _inv_freq: Tensor  # float64, on the CPU
    _turns: Tensor  # int64, the same frequencies in turns per position
    _attention_factor: float

    def __init__(self, inv_freq: Tensor | Iterable[Any], attention_factor: float = 1.0) -> None:
        # Tensors made in inference mode could never be saved for a backward pass.
        with torch.inference_mode(False), torch.no_grad():
            self._inv_freq = _checked(inv_freq)
            self._turns = ops.turns(self._inv_freq)
        self._attention_factor = float(attention_factor)
        if not (math.isfinite(self._attention_factor) and self._attention_factor > 0):
            raise ValueError(
                f"Schedule: attention_factor must be finite and > 0, got {attention_factor}"
            )

    @classmethod
    def from_config(
        cls, config: Any, layer_type: str | None = None, seq_len: int | None = None
    ) -> Schedule:
        """Returns the schedule of a model, from its configuration.

        config: a transformers configuration, an object or a dict, of version 4 (`rope_scaling`) or
        5 (`rope_parameters`); Megatron-LM's arguments, a Namespace or a dict; or a dict of GGUF
        metadata. layer_type: where the rotation differs by types of layers, which one is meant.
        seq_len: for dynamic NTK and LongRoPE, whose frequencies depend on it, how many positions
        there are, 0 ... seq_len - 1; None: as many as the model was trained on.

        The frequencies, rounded to float32, are transformers' or Megatron-LM's own to the bit: this
        repeats their float32 arithmetic, where the builders of torch_rope.schedules are exact.
        M-RoPE's are of one axis, as there; `on_axes` gives each pair its own.

        GGUF metadata gives llama.cpp's angles, exact. Tensors of factors (`rope_freqs.weight`,
        `rope_factors_long.weight`, `rope_factors_short.weight`) belong into the dict, under these
        names; that a file has a `rope_freqs.weight`, as those of Llama 3.1 have, its metadata does
        not tell.

        A dict carries no defaults of its class. Raises ValueError, naming the key, for one that is
        unknown or missing; a configuration is never changed.
        """
        from torch_rope import configs  # which needs this class

        return configs.schedule_from(config, layer_type, seq_len)

    @property
    def inv_freq(self) -> Tensor:
        """A copy of the frequencies: float64, on the CPU, radians per position."""
        return self._inv_freq.clone()

    @property
    def attention_factor(self) -> float:
        """What cosines and sines are multiplied by."""
        return self._attention_factor

    @property
    def rotary_dim(self) -> int:
        """How many components of a head are rotated."""
        return 2 * self._inv_freq.shape[-1]

    @property
    def num_axes(self) -> int:
        """How many position axes there are."""
        return 1 if self._inv_freq.dim() == 1 else self._inv_freq.shape[0]

    @property
    def per_head(self) -> bool:
        """Whether each head has its own frequencies."""
        return self._inv_freq.dim() == 3

    def kwargs(self, device: torch.device | str | None = None) -> Angles:
        """Returns the operators' keywords: inv_freq, in turns on the device, and attention_factor.

        device=None means the CPU, which the operators accept for tensors anywhere; under
        torch.compile and CUDA graphs name the rotated tensors' device. The tensor is copied on
        every call: keep the result.
        """
        turns = self._turns.to("cpu" if device is None else device, copy=True)
        return {"inv_freq": turns, "attention_factor": self._attention_factor}

    def table(self, rows: int, device: torch.device | str | None = None) -> Tensor:
        """Returns the float32 table (rows, rotary_dim) = [cos | sin] of positions 0 ... rows - 1.

        It holds attention_factor already. Only for schedules of one axis, shared by all heads.
        """
        return ops.cos_sin_table(rows=rows, **self.kwargs(device))

    def scaled(self, x: float) -> Schedule:
        """Returns the schedule with every frequency multiplied by x."""
        return Schedule(self._inv_freq * float(x), self._attention_factor)

    def on_axes(self, axis_of_pair: Iterable[int]) -> Schedule:
        """Returns the schedule (A, n) in which pair i counts only position axis axis_of_pair[i].

        From a one-axis schedule (n,); axis_of_pair: n integers in 0 ... 3, A = their maximum + 1.
        """
        axes = [int(axis) for axis in axis_of_pair]
        if self._inv_freq.dim() != 1:
            raise ValueError(
                "Schedule.on_axes: the schedule must have one axis and no heads, got inv_freq of"
                f" shape {tuple(self._inv_freq.shape)}"
            )
        if len(axes) != len(self._inv_freq):
            raise ValueError(
                f"Schedule.on_axes: axis_of_pair must have {len(self._inv_freq)} entries, one for"
                f" each pair, got {len(axes)}"
            )
        wrong = [axis for axis in axes if not 0 <= axis < _MAX_AXES]
        if wrong:
            raise ValueError(
                f"Schedule.on_axes: axis_of_pair must lie in 0 ... {_MAX_AXES - 1}, got {wrong[0]}"
            )
        rows = torch.zeros((max(axes) + 1, len(axes)), dtype=torch.float64, device="cpu")
        rows[torch.tensor(axes, device="cpu"), torch.arange(len(axes), device="cpu")] = (
            self._inv_freq
        )
        return Schedule(rows, self._attention_factor)

    def plot(
        self,
        *others: Schedule,
        labels: Iterable[str] | None = None,
        trained_length: float | None = None,
        ax: Any = None,
    ) -> Any:
        """Draws the wavelength of each pair, the positions in a whole turn, with matplotlib.

        others: schedules to compare with; pairs that differ from this one's by more than a percent
        are shaded. labels: one for each schedule. trained_length: a line; pairs above it never
        made a whole turn in training. ax: matplotlib axes to draw into. Returns the axes.

        Of several position axes it is that which turns a pair the fastest; of several heads it is
        one curve each. Pairs that do not turn are left out.
        """
        from torch_rope import _plot

        schedules = [self, *others]
        if labels is None:
            # One alone needs no name: a legend leaves out what begins with an underscore.
            labels = [f"schedule {number}" for number in range(1, len(schedules) + 1)]
            labels = labels if others else ["_"]
        names = list(labels)
        if len(names) != len(schedules):
            raise ValueError(
                f"Schedule.plot: labels must have {len(schedules)} entries, one for each schedule,"
                f" got {len(names)}"
            )
        return _plot.plot(schedules, names, trained_length, ax)

    def _key(self) -> tuple[Any, ...]:
        values = tuple(self._inv_freq.flatten().tolist())
        return tuple(self._inv_freq.shape), values, self._attention_factor

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Schedule) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __copy__(self) -> Schedule:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Schedule:
        return self

    def __reduce__(self) -> tuple[type[Schedule], tuple[list[Any], float]]:
        return Schedule, (self._inv_freq.tolist(), self._attention_factor)

    def __setstate__(self, state: object) -> NoReturn:
        # Without this, unpicklers set whatever slots a file names, past the constructor's checks.
        raise TypeError("Schedule: a pickled one has no state beside its constructor's arguments")

    def __repr__(self) -> str:
        shape = tuple(self._inv_freq.shape)
        by_pair = self._inv_freq.movedim(-1, 0).reshape(shape[-1], -1)
        turning = by_pair[by_pair != 0].tolist() or [0.0]
        num_turning = int(by_pair.any(1).sum())
        share = "" if num_turning == shape[-1] else f", {num_turning} of {shape[-1]} pairs turn"
        return (
            f"Schedule(rotary_dim={self.rotary_dim},"
            f" inv_freq={shape}: {turning[0]:.6g} ... {turning[-1]:.6g}{share},"
            f" attention_factor={self._attention_factor:.6g})"
        )


def _checked(inv_freq: Tensor | Iterable[Any]) -> Tensor:
    """Returns the frequencies as a float64 tensor of its own on the CPU, or raises."""
    if isinstance(inv_freq, Tensor):
        if inv_freq.dtype not in (torch.float32, torch.float64):
            raise TypeError(f"Schedule: inv_freq must be float32 or float64, got {inv_freq.dtype}")
        values = inv_freq.detach().to("cpu", torch.float64, copy=True).contiguous()
    else:
        values = torch.tensor(inv_freq, dtype=torch.float64, device="cpu")
    shape = tuple(values.shape)
    if len(shape) not in (1, 2, 3) or 0 in shape:
        raise ValueError(f"Schedule: inv_freq must be (n,), (A, n) or (A, H, n), got {shape}")
    if shape[-1] > _MAX_PAIRS:
        raise ValueError(f"Schedule: inv_freq must have at most {_MAX_PAIRS} pairs, got {shape}")
    if len(shape) > 1 and shape[0] > _MAX_AXES:
        raise ValueError(f"Schedule: inv_freq must have at most {_MAX_AXES} axes, got {shape}")
    wrong = values[~values.isfinite()].tolist()
    if wrong:
        raise ValueError(f"Schedule: inv_freq must be finite, got {wrong[0]}")
    return values


# A value that only its checking constructor fills: torch.load takes it with weights_only=True.
torch.serialization.add_safe_globals([Schedule])
