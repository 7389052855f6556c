"""Runs the cells of a notebook without Jupyter, as a kernel would: in `__main__`, with sources that `inspect` can find.

    python notebook_cells.py NOTEBOOK OUTPUT

writes what each cell's last expression shows (HTML where there is some) to OUTPUT, a JSON list, one text per code cell.
"""

import ast
import json
import linecache
import sys
import types
from pathlib import Path


def fresh_main():
    """A `__main__` as a kernel has it: without a file."""
    main = types.ModuleType("__main__", "Automatically created module for IPython interactive environment")
    sys.modules["__main__"] = main
    return main


def run_cell(main, source, number):
    """Run one cell; what its last expression shows."""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), main.__dict__)
    if last is None:
        return ""
    value = eval(compile(ast.Expression(last.value), name, "eval"), main.__dict__)
    return value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)


if __name__ == "__main__":
    notebook, output = map(Path, sys.argv[1:])
    sys.argv = ["ipykernel_launcher", "-f", "kernel.json"]
    cells = [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"]
    main = fresh_main()
    shown = [run_cell(main, "".join(cell["source"]), number) for number, cell in enumerate(cells)]
    output.write_text(json.dumps(shown))
