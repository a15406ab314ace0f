import subprocess
import sys


def test_the_room_opens_without_its_heavy_dependencies():
    """Pillow, pooch and requests are loaded where they are used: `import chainrule` stays fast."""
    code = (
        "import sys, chainrule.data; "
        "print(*sorted({'PIL', 'pooch', 'requests'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""
