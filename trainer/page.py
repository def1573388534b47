"""A page that needs nothing beside it: one look for the overview of the data and for the report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """
:root{--ink:#1d2530;--quiet:#6b7683;--line:#e3e8ee;--bad:#c0392b;--good:#2e7d4f;--accent:#2f5d9b;--paper:#fff}
*{box-sizing:border-box}body{font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);
max-width:66rem;margin:0 auto;padding:2.2rem 1.4rem 4rem;background:#f5f7f9}
h1{font-size:1.75rem;letter-spacing:-.01em;margin:0 0 .2rem}h2{font-size:1.08rem;margin:0 0 .7rem}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:1.1rem 1.3rem;margin:1rem 0}
table{border-collapse:collapse;margin:.2rem 0 .8rem;font-size:.89rem}.wide{overflow-x:auto}
td,th{padding:.28rem .6rem;border-bottom:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}th{color:var(--quiet);font-weight:600}th:first-child,td:first-child{text-align:left}
p{margin:.35rem 0}.bad{color:var(--bad);font-weight:600}.good{color:var(--good)}
.quiet{color:var(--quiet);font-size:.88rem}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:.4rem 0 .2rem}.tile{flex:1 1 9rem;border:1px solid var(--line);
border-radius:8px;padding:.6rem .8rem}.tile b{display:block;font-size:1.4rem;letter-spacing:-.02em}
.tile span{color:var(--quiet);font-size:.82rem}
small{color:var(--quiet);font-weight:400}.row{display:flex;flex-wrap:wrap;gap:1rem 1.2rem;align-items:flex-start}
figure{margin:.3rem 0}figcaption{color:var(--quiet);font-size:.82rem;margin-top:.2rem}img{max-width:100%;
border-radius:4px;image-rendering:auto}td.red{background:#fbe3e0;color:var(--bad);font-weight:600}
svg text{font-family:inherit}ul{margin:.3rem 0;padding-left:1.2rem}
"""


def page(title: str, sections: Sequence[tuple[str, str]]) -> str:
    """A self-contained HTML page; each section is a heading and its HTML."""
    body = "\n".join(
        f"<section>{f'<h2>{escape(heading)}</h2>' if heading else ''}\n{html}</section>" for heading, html in sections
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table; values are escaped."""
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(_text(each))}</td>" for each in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{lines}</table></div>'


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; `kind` is `bad`, `quiet` or empty."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def listed(lines: Sequence[str]) -> str:
    """A list of plain sentences."""
    return "<ul>" + "".join(f"<li>{escape(each)}</li>" for each in lines) + "</ul>"


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
