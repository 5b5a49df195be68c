"""Models of transformers on these operators, and the keys that they have cached.

`enable` puts one model on them and `disable` takes it off again; `rerotate_cache` and `drop_oldest`
bring cached keys to other frequencies or positions. transformers is imported once it is needed.
"""

from torch_rope.integrations.transformers.cache import drop_oldest, rerotate_cache
from torch_rope.integrations.transformers.enable import disable, enable

__all__ = ["disable", "drop_oldest", "enable", "rerotate_cache"]
