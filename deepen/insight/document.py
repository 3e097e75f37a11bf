"""The shell of the report: document, style, colours for light and dark. No script, nothing loaded."""

from __future__ import annotations

from deepen.insight import ink
from deepen.insight.ink import PALETTE, clean

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

DARK_PALETTE = ("#6ea3ff", "#ff9a5a", "#52c98d", "#ff7583", "#b18cf0", "#d3ad52", "#f080c0", "#93a3b5")

STYLE = """
:root{color-scheme:light dark;--back:#f5f7fa;--paper:#fff;--ink:#1f2933;--mute:#5f6c7b;--grid:#e4e8ee;--link:#2459b8;
--code:#eef2f7;--error:#b42336;--warning:#9a5b00;--note:#2459b8;%LIGHT%}
@media (prefers-color-scheme:dark){:root{--back:#12161c;--paper:#1a2029;--ink:#e6eaf0;--mute:#9aa7b6;--grid:#2e3744;
--link:#8db5ff;--code:#232b36;--error:#ff8a96;--warning:#f0b35a;--note:#8db5ff;%DARK%}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","Noto Sans CJK SC",sans-serif}
main{max-width:68rem;margin:0 auto;padding:1.2rem 1rem 4rem}
h1{font-size:1rem;font-weight:600;color:var(--mute);margin:.6rem 0 .2rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:0 0 .9rem}h3{font-size:1rem;margin:1.6rem 0 .5rem}
.lead{font-size:1.5rem;line-height:1.35;font-weight:600;margin:.2rem 0 1.2rem;overflow-wrap:anywhere;text-wrap:balance}
section{background:var(--paper);border:1px solid var(--grid);border-radius:12px;padding:1.2rem 1.3rem;margin:1.2rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.7rem;margin:0}
.tiles div{background:var(--paper);border:1px solid var(--grid);border-radius:10px;padding:.6rem .8rem}
.tiles dt{font-size:.8rem;color:var(--mute)}
.tiles dd{margin:0;font-size:1.3rem;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tiles dd small{display:block;font-size:.8rem;font-weight:400;color:var(--mute)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem 1.4rem;
align-items:start}.figures h3{margin-top:.6rem}.figures>div{min-width:0}
figure{margin:0;min-width:0}figure svg{display:block;max-width:100%;height:auto}
figcaption,.mute{color:var(--mute);font-size:.88rem}figcaption{margin:.2rem 0 0;max-width:40rem}
.wide{overflow-x:auto;margin:.4rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.93rem;min-width:min(100%,20rem)}
th,td{text-align:left;padding:.35rem .9rem .35rem 0;border-bottom:1px solid var(--grid);vertical-align:top}
thead th{color:var(--mute);font-weight:500;font-size:.82rem;white-space:nowrap}
tbody th{font-weight:600}.num{text-align:right;white-space:nowrap}
td.say{color:var(--mute);font-size:.88rem;min-width:15rem}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Noto Sans Mono CJK SC",monospace;font-size:.88em;
background:var(--code);border-radius:4px;padding:.1em .35em;overflow-wrap:anywhere}
pre{background:var(--code);border-radius:8px;padding:.7rem .9rem;margin:.4rem 0;overflow-x:auto}
pre code{padding:0;background:none;overflow-wrap:normal}
.findings{list-style:none;padding:0;margin:.6rem 0}
.findings li{border-left:4px solid var(--note);padding:.15rem 0 .15rem .9rem;margin:.8rem 0;overflow-wrap:anywhere}
.findings li.warning{border-color:var(--warning)}.findings li.error{border-color:var(--error)}
.findings b{font-size:.8rem;color:var(--note)}.findings .warning b{color:var(--warning)}
.findings .error b{color:var(--error)}.findings small{display:block;color:var(--mute);font-size:.88rem}
.alert{border-left:4px solid var(--error);background:var(--paper);padding:.7rem 1rem;border-radius:6px;
margin:0 0 1.2rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.2rem,1fr));gap:.9rem}
.cards img{width:100%;aspect-ratio:1;object-fit:contain;display:block;background:var(--code);border-radius:6px}
.cards img.pixels{image-rendering:pixelated}
.cards p{margin:.3rem 0 0;font-size:.88rem;line-height:1.35;overflow-wrap:anywhere}
.wrong{color:var(--c1);font-weight:600}.right{color:var(--c2);font-weight:600}
details{margin:.9rem 0}summary{cursor:pointer;color:var(--link)}
.bar{display:block;height:.55rem;border-radius:3px;background:var(--c0);min-width:1px}
td.track{width:8rem;min-width:5rem;vertical-align:middle}tbody th{min-width:6.5rem}.whole{grid-column:1/-1}
footer{color:var(--mute);font-size:.85rem;margin-top:2rem;overflow-wrap:anywhere}
@media (max-width:34rem){.lead{font-size:1.2rem}section{padding:1rem .9rem;border-radius:8px}
main{padding:.6rem .6rem 3rem}}
@media (max-width:40rem){.scores thead{display:none}.scores tr{display:flex;flex-wrap:wrap;gap:0 1rem;padding:.5rem 0;
border-bottom:1px solid var(--grid)}.scores th,.scores td{border:0;padding:0}.scores th,.scores td.say{flex:1 0 100%}
.scores td[data-label]::before{content:attr(data-label) " ";color:var(--mute);font-size:.82rem}
.scores td:empty{display:none}
.told thead{display:none}.told tr{display:flex;flex-wrap:wrap;gap:0 .8rem;padding:.5rem 0;border-bottom:1px solid var(--grid)}
.told th,.told td{border:0;padding:0;min-width:0}.told td.text{flex:1 0 100%;overflow-wrap:anywhere}
.told td:nth-child(2)::before{content:"→ ";color:var(--mute)}}
@media print{section{break-inside:avoid}body{background:#fff}}
"""


def document(title: str, body: str) -> str:
    """A complete page; `body` is trusted markup, `title` is not."""
    style = STYLE.replace("%LIGHT%", _variables(PALETTE)).replace("%DARK%", _variables(DARK_PALETTE))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{clean(title)}</title><style>{style}</style>{ink.STYLE}</head><body><main>{body}</main></body></html>\n"
    )


def _variables(palette: tuple[str, ...]) -> str:
    return ";".join(f"--c{index}:{code}" for index, code in enumerate(palette))
