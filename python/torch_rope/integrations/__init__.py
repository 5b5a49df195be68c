"""What makes the operators at home in other libraries, a module for each.

Parts of torch that take long to import get theirs when somebody imports them: each line below names
a module of torch and the module here that tells it of the operators.
"""

from torch_rope.integrations._after_import import import_after

__all__: list[str] = []

import_after("torch.utils.flop_counter", "torch_rope.integrations.flops")
import_after("torch.onnx._internal.exporter._torchlib.ops", "torch_rope.integrations.onnx")
