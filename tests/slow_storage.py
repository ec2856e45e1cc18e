"""Files that come over a network: read at the speed that TEST_STORAGE_BYTES_PER_SECOND says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import FileSystemStorage


class SlowFile(File):  # type: ignore[type-arg]  # generic for type checkers only
    def read(self, size: int = -1) -> bytes:
        assert self.file is not None
        content: bytes = self.file.read(size)
        time.sleep(len(content) / float(os.environ["TEST_STORAGE_BYTES_PER_SECOND"]))
        return content


class SlowStorage(FileSystemStorage):
    def _open(self, name: str, mode: str = "rb") -> Any:
        return SlowFile(Path(self.path(name)).open(mode))
