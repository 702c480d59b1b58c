"""What happens in a new process before it becomes ours: a script, run by path, never imported.

Arguments: the id of the process that starts it, the command. Where that process ends, however it does, the kernel ends
this one too.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(sys.argv[1]):
            sys.exit("The process that started this one has ended.")
    os.execv(sys.argv[2], sys.argv[2:])
