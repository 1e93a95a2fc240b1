"""What pyproject.toml can't say: notebooks, samples and workflow lie beside the package, and in a wheel within it."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithCourse(build_py):
    """Build the package with `shipped/`, in which `lvseg.files.CHECKOUT` finds them where there is no checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in ("notebooks", "workflow", "data_samples"):
                target = Path(self.build_lib, "lvseg", "shipped", name)
                shutil.copytree(name, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))


setup(cmdclass={"build_py": WithCourse})
