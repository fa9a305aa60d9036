"""What some systems lack: marks for the tests that need it."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec

import pytest

__all__ = ["needs_fork", "needs_listed_roots", "needs_own_roots", "needs_pipes", "needs_trio", "needs_uvloop"]

UNDER_WINE = sys.platform == "win32" and hasattr(ctypes.windll.ntdll, "wine_get_version")

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
needs_trio = pytest.mark.skipif(UNDER_WINE, reason="Wine 8 lacks SIO_BASE_HANDLE, which trio asks sockets for")
needs_uvloop = pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop, of the extra `dev`, is not installed")
needs_own_roots = pytest.mark.skipif(
    UNDER_WINE, reason="Wine 8 accepts certificates without a root and does not know roots of a program"
)
needs_listed_roots = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="truststore does not list the roots that it trusts"
)
