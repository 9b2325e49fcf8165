"""The template of a benchmark's report.html; the style adds to the house's."""

from hispatial_jax.report import template

STYLE = """
.tile { --c: var(--l0); } .tile.second { --c: var(--line); }
.tile .big { font-size: 42px; }
table td:nth-child(2) { width: auto; } td.track-cell { width: 27%; }
table.figure td.far { text-align: left; white-space: normal;
  min-width: 15em; font-size: 13px; color: var(--faint); }
table.figure th.far { text-align: left; }
tr.ours { --c: var(--l0); } tr.ours td:first-child { font-weight: 600; }
tr.theirs { --c: var(--faint); } tr.least { --c: var(--l2); }
tr.cut { --c: var(--l1); }
h3 { font: 500 17px var(--serif); margin: 30px 0 4px; }
.curves { grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px),
  1fr)); }
.curves svg { max-width: 520px; }
.curves text { font: 12px var(--sans); fill: var(--faint); }
.curves text.t { fill: var(--ink); font-size: 13.5px; }
.curves .grid { stroke: var(--line); stroke-width: 1; fill: none; }
.curves .diagonal { stroke: var(--ink); stroke-width: 1; fill: none;
  stroke-dasharray: 3 4; opacity: .7; }
.curves .band { fill: var(--l0); opacity: .13; }
.curves .good { fill: var(--good); opacity: .6; }
.curves .bad { fill: var(--bad); opacity: .6; }
.curves rect { fill: var(--train); opacity: .55; }
.curves polyline { fill: none; stroke: var(--l0); stroke-width: 1.6; }
.curves .dot { fill: var(--l0); }
.view.one img { aspect-ratio: 4 / 3; object-fit: contain;
  background: var(--line); }
.view .none { aspect-ratio: 4 / 3; display: grid; place-items: center;
  color: var(--faint); line-height: 1.4; background: var(--line); }
.words q { max-height: 15em; overflow: auto; overflow-wrap: anywhere; }
.words dd { overflow-wrap: anywhere; }
.words dd small { white-space: normal; }
.card.good { --c: var(--good); } .card.bad { --c: var(--bad); }
table.list td, table.list th { text-align: left; white-space: normal;
  overflow-wrap: anywhere; vertical-align: top; font-size: 13.5px; }
table.list td.v { text-align: center; }
table.small { width: auto; min-width: min(100%, 420px); }
table.small td:nth-child(3) { text-align: left; color: var(--faint);
  white-space: normal; }
main > details:not(:last-child) { margin-top: 16px; border: 0; padding: 0; }
"""

PAGE = (
  template.HEAD
  + """<p class="lead">{{ lead }}</p>

{% macro track(line) -%}
<td class="track-cell"><div class="track">
{%- if line.span is not none %}
<s style="left:{{ line.low }}%;width:{{ line.span }}%"></s>{% endif %}
{%- if line.percent is not none %}<b style="left:{{ line.percent }}%"></b>
{%- endif %}</div></td>
{%- endmacro %}

<div class="tiles">
{% for tile in tiles %}
<div class="tile {{ 'second' if not loop.first }}"><b>{{ tile.name }}</b><br>
<small>{{ tile.rule }}</small>
<div class="big">{{ tile.value }}<i> %</i></div>
<div class="verdict">{{ tile.note }}</div></div>
{% endfor %}
</div>

<h2>Beside published figures</h2>
<p class="note">Blue is this run, by each rule that was ever used; ochre the
best constant answer and a blind run, which see no picture; grey what others
published, by their own protocol. A difference below some three points between
papers says little.</p>
{% for figure in figures %}
<h3>{{ figure.name }}</h3>
<div class="scroll"><table class="figure">
<thead><tr><th></th><th></th><th>%</th><th>95&nbsp;%</th><th>n</th>
<th class="far">rule or protocol</th><th class="far">source</th></tr></thead>
<tbody>
{% for line in figure.lines %}
<tr class="{{ line.css }}"><td>{{ line.who }}</td>{{ track(line) }}
<td>{{ line.value }}</td><td>{{ line.interval }}</td><td>{{ line.n }}</td>
<td class="far">{{ line.protocol }}</td><td class="far">{{ line.source }}</td>
</tr>
{% endfor %}
</tbody></table></div>
{% endfor %}

<h2>What became of the questions</h2>
<p class="note">Nothing leaves a denominator: what is unparsed or an error
counts as wrong under our rules.</p>
<div class="scroll"><table class="small"><tbody>
{% for name, count, hint in counts %}
<tr><td>{{ name }}</td><td>{{ count }}</td><td>{{ hint }}</td></tr>
{% endfor %}
</tbody></table></div>
{% if errors %}
<details><summary>The errors{% if errors|length < error_count %}, the first
{{ errors|length }}{% endif %}</summary>
<div class="scroll"><table class="list"><tbody>
{% for item in errors %}
<tr><td>{{ item.key }}</td><td>{{ item.error }}</td></tr>{% endfor %}
</tbody></table></div></details>
{% endif %}

{% if judge %}
<h2>A judge's opinion</h2>
<p class="note">{{ judge.model }}, prompts {{ judge.version }}, beside our rule.
It changes no figure above.</p>
<div class="scroll"><table class="small"><tbody>
{% for name, value in judge.lines %}
<tr><td>{{ name }}</td><td>{{ value }}</td></tr>{% endfor %}
</tbody></table></div>
{% endif %}

{% if cuts %}
<h2>By category</h2>
<p class="note">Our rule; bands are 95&nbsp;% Wilson intervals.</p>
{% for cut in cuts %}
<h3>{{ cut.name }}</h3>
<div class="scroll"><table>
<thead><tr><th></th><th></th><th>right&nbsp;%</th><th>95&nbsp;%</th><th>n</th>
<th>unparsed</th><th>errors</th></tr></thead><tbody>
{% for line in cut.lines %}
<tr class="cut"><td>{{ line.name }}</td>{{ track(line) }}
<td>{{ line.value }}</td><td>{{ line.interval }}</td><td>{{ line.n }}</td>
<td>{{ line.unparsed }}</td><td>{{ line.errors }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endfor %}
{% endif %}

{% if charts %}
<h2>How far off, how sure</h2>
<p class="note">{{ charts_note }}</p>
<div class="curves">
{% for svg in charts %}<figure>{{ svg|safe }}</figure>{% endfor %}
</div>
{% endif %}

{% if rules|length > 1 %}
<h2>Where the rules part</h2>
<p class="note">{{ apart_count }} of {{ questions }} answers are right by one
rule and wrong by another{% if apart|length < apart_count %}; here are
{{ apart|length }} of them, drawn at random{% endif %}. A dash: that rule does
not judge the question.</p>
<div class="scroll"><table><thead><tr><th>rule</th>
<th>judged</th><th>right&nbsp;%</th><th>right here, wrong by
{{ rules[0].name }}</th><th>the other way</th></tr></thead><tbody>
{% for rule in rules %}
<tr><td>{{ rule.name }}</td><td>{{ rule.judged }}</td><td>{{ rule.value }}</td>
<td>{{ rule.more }}</td><td>{{ rule.less }}</td></tr>{% endfor %}
</tbody></table></div>
{% if apart %}
<details><summary>The answers</summary>
<div class="scroll"><table class="list"><thead><tr><th>key</th>
<th>answer</th><th>read as</th><th>truth</th>
{% for rule in rules %}<th>{{ rule.name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in apart %}
<tr><td>{{ row.key }}</td><td>{{ row.output }}</td>
<td>{{ row.declared }}<br><small>{{ row.why }}</small></td>
<td>{{ row.truth }}</td>{% for v in row.verdicts %}
<td class="v {{ {1: 'up', 0: 'down'}.get(v) }}">
{{- {1: '✓', 0: '✗'}.get(v, '–') }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div></details>
{% endif %}
{% endif %}

{% for name, note, cards in galleries %}
<h2>{{ name }}</h2>
<p class="note">{{ note }}</p>
<div class="cards">
{% for card in cards %}
<article class="card {{ card.css }}">
<div class="view one">{% if card.image %}
<img src="{{ card.image }}" alt="picture of {{ card.key }}">
{% else %}<div class="none">no picture</div>{% endif %}</div>
<div class="words"><span class="task">{{ card.label }}</span>
<q>{{ card.question }}</q>
<dl><dt>answer</dt><dd><b class="{{ card.sign }}">{{ card.output }}</b>
</dd><dt>truth</dt><dd>{{ card.truth }}</dd>
<dt>why</dt><dd><small>{{ card.why }}</small></dd></dl></div>
</article>
{% endfor %}
</div>
{% endfor %}

<details><summary>How this was made</summary>
<pre>{{ facts }}</pre></details>
</main>
</body>
</html>
"""
)
