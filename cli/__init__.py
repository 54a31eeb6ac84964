"""The command ``tailramp``: one module per group of commands, each imported only when one of its commands is run.

What makes all that is imported afterwards faster is done here, before any of it.
"""

import os

from tailramp.garbage import look_for_garbage_seldom

look_for_garbage_seldom()
# Else pydantic looks for plugins of itself among everything that is installed: a tenth of what a command waits for.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
