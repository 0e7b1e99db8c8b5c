"""Pages about models."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from pathlib import Path

from . import _mote
from ._arrays import path as path_of


class Report(str):
    """A page, as HTML. It is a string; in a notebook it shows itself.

    >>> model.report().open()
    """

    __slots__ = ()

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the page to a file whose name ends with `.html`, whole or not at all.

        >>> model.report().write("my.html")
        """
        _mote.write_page(path_of(path, "path"), str(self))

    def open(self) -> str:
        """Opens the page in a browser, where there is one.

        >>> file = model.report().open()

        Returns:
            The file that it was written to.
        """
        file = Path(tempfile.mkdtemp(prefix="mote-")) / "report.html"
        self.write(file)
        webbrowser.open(file.as_uri())
        return str(file)

    def _repr_html_(self) -> str:
        """The page in a frame of its own."""
        return f'<iframe srcdoc="{html.escape(self)}" width="100%" height="800" style="border:0"></iframe>'
