"""For mkdocs: a link that leads out of docs/ leads to the repository, where one is named; else its words stay."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Rewrite the links of one page."""
    folder = posixpath.dirname(page.file.src_uri)

    def rewrite(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        place = posixpath.normpath(posixpath.join("docs", folder, target))
        if "://" in target or (place.startswith("docs/") and place != "docs/decisions"):
            return found[0]
        return f"[{words}]({config.repo_url.rstrip('/')}/blob/main/{place}{anchor})" if config.repo_url else words

    return _LINK.sub(rewrite, markdown)
