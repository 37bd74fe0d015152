"""README's example runs and prints what it says."""

import contextlib
import io
import re
from pathlib import Path


def test_the_example_runs_and_prints_what_the_text_says() -> None:
    text = (Path(__file__).parents[3] / "actors" / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(example[1], "README.md", "exec"), {"__name__": "readme"})
    printed = out.getvalue().split("\n")[:-1]
    assert printed == ["5050", "False 101"]
    assert all(f"`{line}`" in text for line in printed)
