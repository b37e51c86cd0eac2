"""What making slides needs, each with the way to install it."""

import shutil
import subprocess
from importlib.util import find_spec

PACKAGES = {
    "matplotlib": "matplotlib",
    "pptx": "python-pptx",
    "pypandoc": "pypandoc_binary",
    "resvg_py": "resvg_py",
}
CHINESE_FONT = "Noto Sans CJK SC"


def missing() -> list[str]:
    """Return one Chinese line for everything that is not there."""
    lines = [
        f"缺 Python 包 {package}：运行 pip install -r requirements-slides.txt"
        for module, package in PACKAGES.items()
        if not find_spec(module)
    ]
    if not shutil.which("soffice"):
        lines.append(
            "缺 LibreOffice（命令 soffice）：Debian 和 Ubuntu 上运行 "
            "apt-get install libreoffice-impress"
        )
    if not has_chinese_font():
        lines.append(
            f"缺中文字体 {CHINESE_FONT}：Debian 和 Ubuntu 上运行 "
            "apt-get install fonts-noto-cjk"
        )
    return lines


def has_chinese_font() -> bool:
    """Return whether the font is there that stands in for Microsoft YaHei."""
    if not shutil.which("fc-list"):
        return False
    found = subprocess.run(
        ["fc-list", CHINESE_FONT], capture_output=True, text=True, check=False
    )
    return bool(found.stdout.strip())
