"""The page itself, a jinja2 template; everything is inside, no network."""

STYLE = """
:root {
  --paper: #fbfaf7; --card: #fff; --ink: #1c1d1f; --faint: #74746e;
  --line: #e4e2da; --train: #c9c6bb; --good: #1d7f5f; --bad: #b5483a;
  --l0: #2f66c8; --l1: #14857a; --l2: #b8741a; --l3: #9c4590;
  --serif: "Iowan Old Style", Charter, "Bitstream Charter", "Source Serif 4",
    Cambria, Georgia, serif;
  --sans: Inter, ui-sans-serif, system-ui, "Segoe UI", Roboto,
    "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15161a; --card: #1d1f24; --ink: #e9e7e1; --faint: #97968f;
    --line: #2e3037; --train: #4a4c53; --good: #58c39c; --bad: #e5806f;
    --l0: #7aa5f5; --l1: #4dc3b5; --l2: #e3ab5c; --l3: #d488c9;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 var(--sans); font-variant-numeric: tabular-nums;
}
main { max-width: 1080px; margin: 0 auto; padding: 56px 24px 72px; }
h1, h2 { font-family: var(--serif); font-weight: 500; line-height: 1.15; }
h1 { font-size: clamp(32px, 5.5vw, 50px); margin: 0 0 14px;
  letter-spacing: -.015em; }
h2 { font-size: 27px; margin: 68px 0 6px; letter-spacing: -.01em; }
.lead { max-width: 44em; margin: 0; font-size: 18px; color: var(--faint); }
.note { max-width: 46em; margin: 0 0 22px; color: var(--faint);
  font-size: 15px; }
.l0 { --c: var(--l0); } .l1 { --c: var(--l1); }
.l2 { --c: var(--l2); } .l3 { --c: var(--l3); } .all { --c: var(--ink); }
.tiles { display: grid; gap: 16px; margin-top: 40px;
  grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); }
.tile { background: var(--card); border: 1px solid var(--line);
  border-top: 3px solid var(--c); border-radius: 10px; padding: 16px 18px; }
.tile b { font-weight: 600; } .tile small { color: var(--faint); }
.tile .big { font: 500 46px/1.1 var(--serif); margin: 8px 0 10px; }
.tile .big i { font: 400 17px var(--sans); color: var(--faint); }
.verdict { font-size: 14px; margin-top: 12px; }
.track { position: relative; height: 12px; min-width: 130px; }
.track::before { content: ""; position: absolute; inset: 5.5px 0;
  background: var(--line); }
.track s { position: absolute; top: 4px; height: 4px; border-radius: 2px;
  background: var(--c); opacity: .38; }
.track b { position: absolute; top: 1.5px; width: 9px; height: 9px;
  margin-left: -4.5px; border-radius: 50%; background: var(--c); }
.track u { position: absolute; top: -1px; width: 2px; height: 14px;
  margin-left: -1px; background: var(--ink); opacity: .75; }
.curves { display: grid; gap: 22px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 310px), 1fr)); }
.curves figure { margin: 0; background: var(--card); padding: 12px 10px 4px;
  border: 1px solid var(--line); border-radius: 10px; }
.curves svg { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; }
th { font-weight: 500; color: var(--faint); font-size: 13px; }
th, td { padding: 7px 10px; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:nth-child(2) { width: 26%; }
tbody tr { border-top: 1px solid var(--line); }
tr.level td, tr.total td { font-weight: 600; }
tr.level { border-bottom: 2px solid var(--line); }
tr.level td:first-child { color: var(--c); }
tr.total:first-of-type { border-top: 2px solid var(--ink); }
.up { color: var(--good); } .down { color: var(--bad); }
.cards { display: grid; gap: 18px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; overflow: hidden; display: flex;
  flex-direction: column; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1px;
  background: var(--line); }
.view { position: relative; line-height: 0; }
.view img { width: 100%; aspect-ratio: 1; object-fit: cover; }
.view em { position: absolute; right: 7px; bottom: 7px; padding: 3px 6px;
  font: 12px/1 var(--sans); color: #fff; background: #0009;
  border-radius: 4px; }
.view i { position: absolute; width: 17px; height: 17px; margin: -8.5px;
  border: 2px solid #fff; border-radius: 50%; box-shadow: 0 0 0 1.5px #000b;
  font: 600 10px/13px var(--sans); color: #fff; text-align: center;
  text-shadow: 0 0 2px #000, 0 0 2px #000; }
.words { padding: 13px 16px 16px; flex: 1; display: flex;
  flex-direction: column; }
.words .task { color: var(--c); font-size: 12.5px; font-weight: 600; }
.words q { quotes: none; display: block; white-space: pre-line;
  margin: 3px 0 12px; line-height: 1.4; }
.words dl { margin: auto 0 0; display: grid; gap: 2px 12px;
  grid-template-columns: auto 1fr; font-size: 15px; }
.words dt { color: var(--faint); } .words dd { margin: 0; }
.words dd b { font-weight: 600; }
.words dd small { color: var(--faint); white-space: nowrap; }
#cloud { height: min(72vh, 620px) !important; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
details { margin-top: 60px; border-top: 1px solid var(--line);
  padding-top: 18px; color: var(--faint); font-size: 14px; }
summary { cursor: pointer; } pre { overflow-x: auto; font-size: 12.5px; }
@media (max-width: 560px) {
  main { padding: 32px 16px 48px; } h2 { margin-top: 48px; }
  .track { min-width: 90px; } th, td { padding: 7px 6px; }
}
@media print { .card, .tile, figure { break-inside: avoid; } }
"""

# How every page begins; it needs `title` and `style`.
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>{{ style|safe }}</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
"""

_BODY = """<p class="lead">{{ lead }}</p>

{% macro track(line) -%}
<div class="track" title="{{ line.label }}">
{%- if line.interval %}
<s style="left:{{ line.low }}%;width:{{ line.span }}%"></s>
{%- endif %}
{%- if line.constant_percent is not none %}
<u style="left:{{ line.constant_percent }}%"></u>
{%- endif %}
<b style="left:{{ line.percent }}%"></b></div>
{%- endmacro %}

{% if tiles %}
<div class="tiles">
{% for tile in tiles %}
<div class="tile {{ tile.css }}">
<b>Level {{ tile.level }}</b><br>{{ tile.title }}<br>
<small>{{ tile.hint }}</small>
<div class="big">{{ tile.cells[2] }}<i> % right</i></div>
{{ track(tile) }}
<div class="verdict">
{%- if tile.constant is none %}no constant to compare with
{%- else %}constant answer {{ tile.cells[4] }} %, gain
<span class="{{ tile.sign }}">{{ tile.cells[5] }}</span>
{%- if tile.difference_interval %}<br><small>95 %: {{ tile.cells[6] }}
{%- endif %}</small>{% endif %}</div>
</div>
{% endfor %}
</div>
{% endif %}

{% if curves %}
<h2>Learning</h2>
<p class="note">Held-out pictures were never trained on. Dotted lines are what
the best constant answer of each level reaches.</p>
<div class="curves">
{% for svg in curves %}<figure>{{ svg|safe }}</figure>{% endfor %}
</div>
{% endif %}

{% if lines %}
<h2>By level and task</h2>
<p class="note">{{ questions }} held-out questions. The dot is the model, its
band the 95&nbsp;% interval; the upright tick is the best constant answer of
the training questions. Lengths count within ±25&nbsp;%, points within
10&nbsp;% of their depth, everything else exactly. Gains in colour differ from
zero by more than their interval.</p>
<div class="scroll"><table>
<thead><tr><th>task</th><th></th><th>right&nbsp;%</th><th>constant</th>
<th>gain</th><th>95&nbsp;%</th><th>questions</th><th>unparsed</th></tr></thead>
<tbody>
{% for line in lines %}
<tr class="{{ line.css }} {{ line.row }}"><td>{{ line.title }}</td>
<td>{{ track(line) }}</td><td>{{ line.cells[2] }}</td>
<td>{{ line.cells[4] }}</td>
<td class="{{ line.sign }}">{{ line.cells[5] }}</td>
<td>{{ line.cells[6] }}</td><td>{{ line.cells[1] }}</td>
<td>{{ line.cells[7] }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}

{% if cards %}
<h2>{{ count }} held-out pictures</h2>
<p class="note">The first questions of each level, spread over its tasks, one
picture each; not chosen by how they were answered. Beside each picture its
depth: red is near, blue is far, grey unknown.</p>
<div class="cards">
{% for card in cards %}
<article class="card {{ card.css }}">
<div class="pair">
<div class="view"><img src="{{ card.image }}" alt="picture {{ card.id }}">
{% for m in card.marks %}
<i style="left:{{ m.x }}%;top:{{ m.y }}%">{{ m.n }}</i>{% endfor %}</div>
<div class="view"><img src="{{ card.depth }}" alt="its depth map">
<em>{{ card.near }} – {{ card.far }} m</em>
{% for m in card.marks %}
<i style="left:{{ m.x }}%;top:{{ m.y }}%">{{ m.n }}</i>{% endfor %}</div>
</div>
<div class="words"><span class="task">{{ card.task }}</span>
<q>{{ card.question }}</q>
<dl><dt>answer</dt><dd><b class="{{ 'up' if card.correct else 'down' }}">
{{- '✓' if card.correct else '✗' }} {{ card.answer }}</b>
<small>{{ card.error }}</small></dd>
<dt>truth</dt><dd>{{ card.truth }}</dd></dl></div>
</article>
{% endfor %}
</div>
{% endif %}

{% if cloud %}
<h2>What the model sees of space</h2>
<p class="note">{{ cloud_note }} Drag to turn, scroll or pinch to
come closer.</p>
<script>{{ plotly|safe }}</script>
{{ cloud|safe }}
{% endif %}

<details><summary>How this was made</summary>
<pre>{{ facts }}</pre></details>
</main>
</body>
</html>
"""

PAGE = HEAD + _BODY
