"""Sets this checkout up: .venv, what it needs, the build, the editable install. Behind make demo
and make test; the work is in scripts/environment/. Usage: python3 scripts/setup.py [demo|test]
ASCII and old syntax only: it must run under any Python to say which one is needed.
"""

import sys

if sys.version_info < (3, 10):
    sys.exit(
        "Python 3.10 or newer is needed and this is %d.%d: install one and name it, as in "
        "`make test PYTHON=python3.11`." % sys.version_info[:2]
    )

from environment.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
