"""The template of report.html; its style is added to the house's own."""

STYLE = """
.tiles { grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); }
.tile { --c: var(--l0); }
.tile .big { font-size: 36px; margin: 6px 0 4px; }
.curves rect { fill: var(--l0); }
.curves path { stroke: var(--faint); stroke-width: 1; fill: none; }
.curves text { font: 12px var(--sans); fill: var(--faint); }
.curves text.t { fill: var(--ink); font-size: 13.5px; }
table.left { width: auto; min-width: min(100%, 480px); }
table.list td { text-align: left; white-space: normal; font-size: 13px;
  overflow-wrap: anywhere; vertical-align: top; }
table td:nth-child(2) { width: auto; }
main > details:not(:last-child) { margin-top: 18px; border: 0; padding: 0; }
.sheet { display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 236px), 1fr)); }
.sheet figure { margin: 0; background: var(--card); overflow: hidden;
  border: 1px solid var(--line); border-radius: 8px; }
.sheet .pair { height: 118px; }
.sheet img { width: 100%; height: 118px; object-fit: cover; }
.sheet figcaption { padding: 6px 9px 8px; font-size: 12px;
  color: var(--faint); display: flex; gap: 8px; }
.sheet figcaption b { font-weight: 500; color: var(--ink); flex: 1;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.sheet figcaption span { white-space: nowrap; }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Points of many pictures</title>
<style>{{ style|safe }}</style>
</head>
<body>
<main>
<h1>Points of many pictures</h1>
<p class="lead">{{ lead }}</p>

<div class="tiles">
{% for tile in tiles %}
<div class="tile"><b>{{ tile.name }}</b>
<div class="big">{{ tile.value }}</div><small>{{ tile.note }}</small></div>
{% endfor %}
</div>

<h2>What they hold</h2>
<p class="note">Heights are shares of the tallest bar; the first and the last
bar also hold what lies beyond the axis.</p>
<div class="curves">
{% for svg in charts %}<figure>{{ svg|safe }}</figure>{% endfor %}
</div>

<h2>Splits</h2>
<div class="scroll"><table class="left">
<thead><tr><th>split</th><th>pictures</th><th>records</th><th>shards</th>
<th>on disk</th></tr></thead>
<tbody>
{% for row in splits %}
<tr><td>{{ row.name }}</td><td>{{ "{:,}".format(row.images) }}</td>
<td>{{ "{:,}".format(row.records) }}</td>
<td>{{ "{:,}".format(row.shards) }}</td>
<td>{{ "{:,.1f}".format(row.bytes / 1e6) }} MB</td></tr>
{% endfor %}
</tbody></table></div>

<h2>Quarantine</h2>
{% if not bad %}
<p class="note">Every picture could be used.</p>
{% else %}
<p class="note">{{ "{:,}".format(bad) }} of the pictures could not be used; all
are in quarantine.jsonl{% if listed|length < bad %}, the first
{{ listed|length }} here{% endif %}.</p>
<div class="scroll"><table class="left">
<thead><tr><th>reason</th><th>pictures</th></tr></thead>
<tbody>
{% for reason, count in reasons %}
<tr><td>{{ reason }}</td><td>{{ "{:,}".format(count) }}</td></tr>
{% endfor %}
</tbody></table></div>
<details><summary>Which ones</summary>
<div class="scroll"><table class="list">
<tbody>
{% for item in listed %}
<tr><td>{{ item.id }}</td><td>{{ item.reason }}</td>
<td>{{ item.message }}</td></tr>
{% endfor %}
</tbody></table></div></details>
{% endif %}

{% if problems %}
<p class="note">What the source held beside pictures with a name, also in
quarantine.jsonl:
{% for reason, count in problems %}{{ reason }} {{ "{:,}".format(count) }}
{{- ", " if not loop.last else "." }}
{% endfor %}</p>
{% endif %}

{% if sheet %}
<h2>{{ sheet|length }} of the records</h2>
<p class="note">At equal distances over the whole. Beside each picture its
depth: red is near, blue is far, grey is masked, sky or unknown. Below, its
2nd to 98th percentile, and the horizontal field of view.</p>
<div class="sheet">
{% for card in sheet %}
<figure><div class="pair"><img src="{{ card.image }}" alt="">
<img src="{{ card.depth }}" alt="depth"></div>
<figcaption><b title="{{ card.id }}">{{ card.id }}</b>
<span>{{ card.note }}</span></figcaption></figure>
{% endfor %}
</div>
{% endif %}

<details><summary>How this was made</summary>
<pre>{{ facts }}</pre></details>
</main>
</body>
</html>
"""
