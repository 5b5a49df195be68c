"""What makes the operators at home in other libraries, a module for each.

Parts of torch that take long to import get theirs when somebody imports them: each line below names
a module of torch and the module here that tells it of the operators.
"""

from torch_rope.integrations import transformers
from torch_rope.integrations._after_import import import_after

__all__ = ["transformers"]

import_after("torch.distributed.tensor", "torch_rope.integrations.dtensor")
import_after("torch.utils.flop_counter", "torch_rope.integrations.flops")
import_after("torch.onnx._internal.exporter._torchlib.ops", "torch_rope.integrations.onnx")
import_after("torch._inductor.fx_passes.reinplace", "torch_rope.integrations.inductor")
import_after("torch._inductor.lowering", "torch_rope.integrations.inductor_offsets")
