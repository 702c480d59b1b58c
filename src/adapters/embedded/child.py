"""What happens in a new process before it becomes the server: a script, run by path, never imported.

It stands in place of `preexec_fn`, which isn't safe in a process with threads. Arguments: the id of the
process that starts it, the descriptor of the server lock, a user and a group id (or `-`), the command.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: str, lock: str, user: str, group: str, *command: str) -> None:
    """Drop privileges, end with the parent, write the process id into the lock and become the command."""
    os.umask(0o077)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a new program inherits that
    if user != "-":
        os.setgroups([])
        os.setgid(int(group))
        os.setuid(int(user))
    if sys.platform == "linux":
        # After the change of user, which clears it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != int(parent):
            sys.exit("The process that started this server has ended.")
    os.ftruncate(int(lock), 0)
    os.pwrite(int(lock), str(os.getpid()).encode(), 0)
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
