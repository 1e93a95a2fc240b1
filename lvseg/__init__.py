"""lvseg: teach, reproduce and go beyond one paper on left-ventricle segmentation in echocardiography.

`import lvseg` is light, and so is every module that needs no network: Keras is imported only by those that do.
"""

from __future__ import annotations

from lvseg.errors import ConfigError, DataError, DataWarning, LvsegError

__version__ = "0.1.0"

__all__ = ["ConfigError", "DataError", "DataWarning", "LvsegError", "__version__"]
