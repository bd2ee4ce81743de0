"""The plugin as one file, and as a module."""

import signal
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts the file has any Python
    sys.exit("kubectl drains: Python 3.11 or newer is needed; this is " + sys.version.split()[0])

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback while the rest of it is read

from controller.plugin.command_line import main  # noqa: E402

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
