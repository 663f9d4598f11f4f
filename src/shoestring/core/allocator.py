"""How the process gets its memory. Cannot be undone, so programs ask for it, and libraries do not."""

import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # the parameter numbers of mallopt(3)


def keep_freed_memory() -> None:
    """Tells glibc to keep freed memory: giving it back and faulting it in again costs more than the arithmetic."""
    if platform.system() != "Linux":
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(TOP_PAD, 64 * 2**20)
    except (OSError, AttributeError):  # another C library: nothing to tune
        return
