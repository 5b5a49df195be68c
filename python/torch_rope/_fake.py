"""The rotating operators on fake tensors, as torch.compile and torch.export trace them.

torch wants all tensors of an operator on one device before it runs the operator's Meta kernel, but
inv_freq may be on the CPU, and for the others the operators have words of their own. So the Meta
kernel, with its checks, is run here on the devices that fake tensors claim. __init__ imports this
module for that effect alone.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_impls import register_op_impl

from torch_rope._library import ops

__all__: list[str] = []


def _refuse_onnx(func: Any) -> None:
    """Raises where torch.onnx.export traces an operator that writes: its own words say nothing."""
    if "torch.onnx" in sys.modules and torch.onnx.is_in_onnx_export():
        raise RuntimeError(
            f"{func._schema.name}: what writes in place cannot be exported to ONNX; rotate and"
            " rotate_qk return new tensors"
        )


def _run_meta_kernel(fake_mode: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Returns fake tensors on the device of the first argument, which is the one to be rotated."""
    if func._schema.is_mutable:
        _refuse_onnx(func)
    first = args[0] if args else kwargs[func._schema.arguments[0].name]
    native: Any = torch._C
    with native._DisableTorchDispatch(), native._PreserveDispatchKeyGuard():
        native._set_meta_in_tls_dispatch_include(True)
        results = func(*args, **kwargs)

    def as_fake(meta: Tensor) -> Any:
        return fake_mode.fake_tensor_converter.from_meta_and_device(fake_mode, meta, first.device)

    if results is None:
        return None
    return as_fake(results) if isinstance(results, Tensor) else tuple(map(as_fake, results))


register_op_impl(
    [
        ops.apply.default,
        ops.rotate.default,
        ops.rotate_qk.default,
        ops.apply_qkv.default,
        ops.rerotate.default,
    ]
)(_run_meta_kernel)
