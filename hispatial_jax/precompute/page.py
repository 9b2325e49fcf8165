"""The template of report.html."""

from hispatial_jax.report import template

PAGE = (
  template.HEAD
  + """<p class="lead">{{ lead }}</p>

<div class="tiles">
{% for tile in tiles %}
<div class="tile"><b>{{ tile.name }}</b>
<div class="big">{{ tile.value }}</div><small>{{ tile.note }}</small></div>
{% endfor %}
</div>

{% macro rows(lines) %}
{% for row in lines %}
<tr class="{{ row.css }}"><td class="name">{{ row.name }}</td>
<td class="bar"><i style="width:{{ "%.2f"|format(row.width) }}%"></i></td>
<td>{{ "{:,}".format(row.count) }}</td>
<td>{{ "%.1f"|format(row.share) }} %</td>
{% if row.answers is defined %}
<td class="say">{% for one in row.answers %}<b>{{ one.text }}</b>
{{ "{:,}".format(one.count) }}{{ ", " if not loop.last }}{% endfor %}</td>
{% endif %}</tr>
{% endfor %}
{% endmacro %}
{% macro strip(title, shares) %}
{% if shares %}
<div><b>{{ title }}</b><div class="strip">
{% for one in shares %}
<i style="width:{{ "%.2f"|format(one.share) }}%" title="{{ one.name }}"></i>
{% endfor %}
</div><small>{% for one in shares %}{{ one.name }}
{{ "%.1f"|format(one.share) }} %{{ ", " if not loop.last }}
{% endfor %}</small></div>
{% endif %}
{% endmacro %}
{% if asked %}
<h2>Questions</h2>
<p class="note">{{ "{:,}".format(asked.records) }} of the records hold
{{ "{:,}".format(asked.stored) }} stored questions
{%- if asked.pairs != asked.stored %}; some stand for several, or for none, and
{{ "{:,}".format(asked.pairs) }} can be asked{% endif %}. Formats, answers and
lengths are of those that can be asked.</p>
<div class="scroll wide"><table><thead><tr><th>level</th><th></th>
<th>questions</th><th>share</th></tr></thead>
<tbody>{{ rows(asked.levels) }}</tbody></table></div>
<div class="facets">
{{ strip("Format", asked.formats) }}
{{ strip("Answers that are yes or no", asked.yes_no) }}
{{ strip("Place of the right option", asked.places) }}
</div>
<div class="scroll wide"><table><thead><tr><th>task</th><th></th>
<th>questions</th><th>share</th><th class="say">most common answers</th></tr>
</thead><tbody>{{ rows(asked.tasks) }}</tbody></table></div>
{% if asked.tasks_left %}
<p class="note">{{ asked.tasks_left }} rarer tasks are not listed.</p>
{% endif %}
<div class="curves">
{% for svg in asked.charts %}<figure>{{ svg|safe }}</figure>{% endfor %}
</div>
{% endif %}

{% if annotated %}
<h2>Annotations</h2>
<p class="note">{{ "{:,}".format(annotated.records) }} of the records know
{{ "{:,}".format(annotated.objects) }} objects; questions are drawn from them
when they are read.</p>
<div class="scroll"><table><thead><tr><th>object</th><th></th>
<th>number</th><th>share</th></tr></thead>
<tbody>{{ rows(annotated.rows) }}</tbody></table></div>
{% if annotated.others %}
<p class="note">{{ "{:,}".format(annotated.others) }} of rarer kinds.</p>
{% endif %}
{% endif %}

{% if charts %}
<h2>What they hold</h2>
<p class="note">Heights are shares of the tallest bar; the first and the last
bar also hold what lies beyond the axis.</p>
<div class="curves">
{% for svg in charts %}<figure>{{ svg|safe }}</figure>{% endfor %}
</div>
{% endif %}

<h2>Splits</h2>
<div class="scroll"><table class="left">
<thead><tr><th>split</th><th>pictures</th><th>records</th><th>shards</th>
<th>on disk</th></tr></thead>
<tbody>
{% for name, row in splits.items() %}
<tr><td>{{ name }}</td><td>{{ "{:,}".format(row.images) }}</td>
<td>{{ "{:,}".format(row.records) }}</td>
<td>{{ "{:,}".format(row.shards) }}</td>
<td>{{ "{:,.1f}".format(row.file_size / 1e6) }} MB</td></tr>
{% endfor %}
</tbody></table></div>

<h2>Sources</h2>
<div class="scroll"><table class="left">
<thead><tr><th>source</th><th>records</th><th>licence</th></tr></thead>
<tbody>
{% for row in sources %}
<tr><td>{{ row.name }}</td><td>{{ "{:,}".format(row.records) }}</td>
<td>{{ row.licence }}</td></tr>
{% endfor %}
</tbody></table></div>

<h2>Left out</h2>
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

{% if noted %}
<p class="note">Noted of records that could be used: questions left out, and
what was odd. The first of each file are in notes.jsonl.</p>
<div class="scroll"><table class="left">
<thead><tr><th>reason</th><th>notes</th></tr></thead>
<tbody>
{% for reason, count in noted %}
<tr><td>{{ reason }}</td><td>{{ "{:,}".format(count) }}</td></tr>
{% endfor %}
</tbody></table></div>
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
<p class="note">Drawn at random. Beside each picture its depth: red is near,
blue is far, grey is masked, sky or unknown. Below, its 2nd to 98th percentile,
and the horizontal field of view.</p>
<div class="sheet{{ " tall" if asked }}">
{% for card in sheet %}
<figure><div class="pair{{ " one" if not card.depth }}">
{#- -#}
<img src="{{ card.image }}" alt="">
{% if card.depth %}<img src="{{ card.depth }}" alt="depth">{% endif %}</div>
<figcaption><b title="{{ card.id }}">{{ card.id }}</b>
<span>{{ card.note }}</span></figcaption>
{% for one in card.asked %}
<div class="qa {{ one.css }}"><em>{{ one.head }}</em>
{% if one.question %}<q>{{ one.question }}</q>{% endif %}
{% if one.options %}<ul>
{% for option in one.options %}<li>{{ option }}</li>{% endfor %}
</ul>{% endif %}
<strong>{{ one.answer }}</strong></div>
{% endfor %}
{% if card.more %}<div class="more">and {{ card.more }} more</div>{% endif %}
{% if card.objects and not card.asked %}
<div class="more" title="{{ card.objects }}">{{ card.objects }}</div>
{% endif %}
</figure>
{% endfor %}
</div>
{% endif %}

<details><summary>How this was made</summary>
<pre>{{ facts }}</pre></details>
</main>
</body>
</html>
"""
)
