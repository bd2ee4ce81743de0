"""The plugin as one file, and as a module."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts the file has any Python
    sys.exit("kubectl drains: Python 3.11 or newer is needed; this is " + sys.version.split()[0])

from controller.plugin.command_line import main

sys.exit(main())
