"""The style sheet of every page; colours by role, for light and dark.

Text has a contrast of at least 4.5 to 1 against what lies behind it, lines and marks of at
least 3 to 1. Roles differ by dashes and shapes too, so that colour alone tells nothing.
"""

# The full strength of a heat map. The cells of a table and the pixels of a picture are this
# colour, more or less transparent, so that both fit light and dark paper.
HEAT = (74, 144, 217)

_COLOURS = """
:root{color-scheme:light dark;
--ink:#1b2330;--soft:#566170;--line:#d7dde4;--edge:#7b8695;--paper:#fff;--card:#f4f6f9;
--accent:#a34a06;--link:#1a5fb4;--good:#1d6b3a;--bad:#b3261e;
--signal:#0068a8;--non-signal:#7a4fb5;--mimic:#b04a00;--hybrid:#b3261e;--non-hybrid:#566170;
--one:#0068a8;--two:#b04a00;--three:#1f7044;--plain:#4a5666;--heat:$HEAT;--strength:.9}
@media screen and (prefers-color-scheme:dark){:root{
--ink:#e8ecf1;--soft:#a7b2c0;--line:#343e4b;--edge:#8490a0;--paper:#12161c;--card:#1c222a;
--accent:#f2a65a;--link:#8ab8f5;--good:#6fce93;--bad:#ff8a80;
--signal:#5cb4f0;--non-signal:#c3a1f5;--mimic:#f79a55;--hybrid:#ff8a80;--non-hybrid:#a7b2c0;
--one:#5cb4f0;--two:#f79a55;--three:#6fce93;--plain:#b3bdc9;--strength:.55}}
"""

_TEXT = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:46rem;margin:0 auto;padding:1.5rem 1rem 3.5rem}
main.wide{max-width:88rem}
header{margin:0 0 1.25rem}
h1{font-size:1.5rem;line-height:1.2;margin:0;letter-spacing:-.01em;text-wrap:balance}
h2{font-size:1.15rem;line-height:1.3;margin:0 0 .6rem}
h3{font-size:1rem;line-height:1.35;margin:1.4rem 0 .4rem}
h1,h2,h3,p,li,dd,td,th,summary,caption,figcaption{overflow-wrap:anywhere}
header p{margin:.25rem 0 0}
section{margin:2.25rem 0 0}
p{margin:.6rem 0;max-width:70ch}
ul,ol{margin:.6rem 0;padding-left:1.3rem}
a{color:var(--link);text-underline-offset:.15em}
code{font:.88em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
display:inline-block;max-width:100%;overflow-wrap:anywhere}
small,.soft{color:var(--soft);font-size:.9rem}
.soft a{color:inherit}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
.card{background:var(--card);border-left:4px solid var(--accent);border-radius:6px;
padding:.85rem 1rem;margin:1rem 0}
.card.bad{border-color:var(--bad);overflow:hidden}
.card.good{border-color:var(--good)}
.card>:first-child{margin-top:0}
.card>:last-child{margin-bottom:0}
.lead{font-size:1.05rem}
.place{display:inline-block;max-width:100%;padding:.1rem .5rem;margin:.1rem .3rem .1rem 0;
border:1px solid var(--edge);border-radius:4px;overflow-wrap:anywhere}
summary{cursor:pointer;padding:.35rem 0;color:var(--soft)}
summary h2{display:inline;color:var(--ink)}
details:target::details-content{content-visibility:visible;block-size:auto}
:target{scroll-margin-top:.5rem}
:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:2px}
"""

_TABLES = """
table{width:100%;border-collapse:collapse;margin:.75rem 0}
caption,.caption{text-align:left;color:var(--soft);font-size:.9rem;padding-bottom:.4rem}
th,td{text-align:left;vertical-align:top;padding:.5rem .75rem .5rem 0;
border-top:1px solid var(--line)}
th:last-child,td:last-child{padding-right:0}
th{font-weight:600}
thead th{color:var(--soft);font-size:.9rem;border-top:0;vertical-align:bottom}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
thead .n{white-space:normal}
th small,td small{display:block;font-weight:400}
tr.first>.n{font-size:1.35rem;line-height:1.2;font-weight:700;color:var(--accent)}
table.facts th{font-weight:400;color:var(--soft);width:40%}
.here{background:var(--card)}
dl{margin:.5rem 0}
dt{margin:.7rem 0 0}
dd{margin:0;padding-left:1rem;color:var(--soft)}
dt code{font-weight:600;color:var(--ink)}
.scroll{overflow-x:auto;max-width:100%;margin:.75rem 0}
.scroll>table{margin:0}
.caption{margin:.75rem 0 0;padding:0}.caption+.scroll{margin-top:.25rem}
.scroll td,.scroll th{overflow-wrap:normal}
.heat{width:auto;font-size:.85rem}
.heat th,.heat td{padding:.2rem .35rem;border:0;white-space:nowrap}
.heat tbody th{font-weight:400;max-width:min(11rem,38vw);overflow:hidden;text-overflow:ellipsis}
.heat thead th{text-align:right}
.heat td{text-align:right;font-variant-numeric:tabular-nums;
background:rgb(var(--heat)/calc(var(--v,0)*var(--strength)))}
"""

_CHARTS = """
figure{margin:1rem 0;max-width:30rem}
figure.broad{max-width:100%}
figcaption{font-weight:600;font-size:.95rem;margin:0 0 .35rem}
figure details{font-size:.9rem}
figure details .caption{display:none}
figure details th,figure details td{padding-top:.25rem;padding-bottom:.25rem}
figure details th{font-weight:400}
svg{display:block;width:100%;height:auto;overflow:hidden;
font:12.5px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
svg text{fill:var(--ink);font-variant-numeric:tabular-nums}
svg .s{fill:var(--soft);font-size:11.5px}
svg .g{stroke:var(--line);fill:none}
svg .e{stroke:var(--edge);fill:none}
svg .d{stroke:var(--edge);stroke-dasharray:2 3;fill:none}
svg .l{stroke:var(--c);stroke-width:2;stroke-dasharray:var(--d);fill:none;
stroke-linejoin:round;stroke-linecap:butt}
svg .w{stroke-dasharray:none}
svg .h{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
svg .f{fill:var(--c)}
svg .m{fill:var(--c);stroke:var(--paper);stroke-width:1}
svg .a{fill:var(--c);fill-opacity:.14}
svg .b{fill:var(--line);fill-opacity:.55}
.r-plain{--c:var(--plain)}.r-one{--c:var(--one)}
.r-two{--c:var(--two);--d:6 3}.r-three{--c:var(--three);--d:2 2.5}
.r-signal{--c:var(--signal)}.r-non-signal{--c:var(--non-signal);--d:6 3}
.r-mimic{--c:var(--mimic);--d:2 2.5}.r-hybrid{--c:var(--hybrid)}
.r-non-hybrid{--c:var(--non-hybrid);--d:6 3}
img.map{display:block;width:100%;height:auto;image-rendering:pixelated;
border:1px solid var(--edge)}
svg.spark{display:inline-block;width:6rem;height:1.5rem;vertical-align:middle}
"""

_BOARD = """
.tabs{display:flex;gap:.25rem;margin:1rem 0;overflow-x:auto;scrollbar-width:thin;
box-shadow:inset 0 -1px var(--edge);background:
linear-gradient(90deg,var(--paper) 40%,transparent) 0 0/2.5rem 100% no-repeat local,
linear-gradient(270deg,var(--paper) 40%,transparent) 100% 0/2.5rem 100% no-repeat local,
linear-gradient(90deg,var(--line),transparent) 0 0/1rem 100% no-repeat,
linear-gradient(270deg,var(--line),transparent) 100% 0/1rem 100% no-repeat}
.tabs~.panel,.tabs~.panel .panel{scroll-margin-top:100vh}
.tab{font:inherit;color:var(--soft);background:none;border:0;border-bottom:3px solid transparent;
padding:.55rem .8rem;min-height:2.75rem;cursor:pointer;flex:none;white-space:nowrap}
@media(max-width:40rem){.tab{max-width:12rem;overflow:hidden;text-overflow:ellipsis}}
.tab:focus-visible{outline-offset:-3px}
.tab:hover{color:var(--ink)}
.tab[aria-selected=true]{color:var(--ink);font-weight:600;border-color:var(--accent)}
.panel[hidden]{display:none}
button.sort{font:inherit;color:inherit;background:none;border:0;padding:.25rem 0;min-height:1.75rem;
text-align:inherit;cursor:pointer;text-decoration:underline dotted;text-underline-offset:.2em}
th[aria-sort=ascending] button.sort::after{content:" \\2191"}
th[aria-sort=descending] button.sort::after{content:" \\2193"}
.board bdi{display:inline-block;min-width:6.5rem;max-width:9rem;overflow-wrap:break-word}
.board small{white-space:normal;min-width:6.5rem}.board thead .n{white-space:normal}
.board thead th{min-width:4.5rem}
.board thead th:first-child{min-width:0}
@media(min-width:78rem){.board thead .long{min-width:6.25rem}
.board thead .longer{min-width:7.75rem}}
@media(min-width:40rem){.board .narrow{display:none}}
@media(max-width:39.99rem){.board bdi{min-width:5rem;max-width:6.5rem}}
.rank{font-variant-numeric:tabular-nums;white-space:nowrap;font-weight:600}
.mark{display:inline-block;font-size:.8rem;line-height:1.3;font-weight:600;white-space:nowrap;
border:1px solid currentColor;border-radius:1rem;padding:.05rem .5rem;color:var(--accent)}
@media(prefers-reduced-motion:no-preference){.tab,a{transition:color .15s}}
@media print{:root{color-scheme:light}body{font-size:10.5pt}main{max-width:none;padding:0}
.scroll{overflow:visible}.tabs,.tab{display:none}.panel[hidden]{display:block}
section,figure,tr{break-inside:avoid}button.sort{text-decoration:none}
.heat td,.card{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""

STYLE = (_COLOURS + _TEXT + _TABLES + _CHARTS + _BOARD).replace("$HEAT", " ".join(map(str, HEAT)))
