"""What Python runs first when this folder is in PYTHONPATH: bcrypt hashes with the least work, since many are made."""

import functools

try:
    import bcrypt
    bcrypt.gensalt = functools.partial(bcrypt.gensalt, 4)
except ImportError:
    pass
