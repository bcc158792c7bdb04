"""Compiles src/puna/native while Puna is built or installed; where that cannot be, Puna runs on torch alone."""

import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Kernels(BuildHookInterface):
    """Called by hatchling, for wheels and editable installs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say in the wheel's name that it is for this kind of machine."""
        if self.target_name != "wheel":
            return
        source = Path(self.root) / "src/puna/native/build.py"
        spec = importlib.util.spec_from_file_location("puna_native_build", source)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        compiled, reason = module.build()
        if reason:
            self.app.display_warning(f"Not all of Puna's own kernels were compiled: {reason}.")
        if not compiled:
            self.app.display_warning("Torch does their work.")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["artifacts"].append("src/puna/native/kernels-*.so")
