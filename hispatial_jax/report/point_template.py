"""The page of one photo, a jinja2 template; its script is point_script.py."""

from hispatial_jax.report import template

# Stands after report/template.py's STYLE.
STYLE = """
:root { --a: #e8542f; --b: #1d8fa8; }
@media (prefers-color-scheme: dark) { :root { --a: #ff7a55; --b: #4fc3dc; } }
h1 { overflow-wrap: anywhere; }
.tile { border-top-color: var(--line); }
.tile .big { font-size: 34px; margin: 4px 0 0; white-space: nowrap; }
.photos { display: grid; grid-template-columns: 1fr 1fr; gap: 16px;
  margin: 36px auto 14px; max-width: calc(124vh * var(--ratio)); }
.photos figure { margin: 0; }
.photos .view { cursor: crosshair; border-radius: 10px; overflow: hidden;
  border: 1px solid var(--line); touch-action: manipulation; }
.photos .view img { aspect-ratio: var(--ratio); object-fit: fill;
  display: block; }
.photos svg { position: absolute; inset: 0; width: 100%; height: 100%;
  pointer-events: none; }
.photos line { vector-effect: non-scaling-stroke; stroke-linecap: round; }
.photos .under { stroke: #000a; stroke-width: 5; }
.photos .over { stroke: #fff; stroke-width: 2; stroke-dasharray: 1 5; }
.photos i { pointer-events: none; margin: -10px; width: 20px; height: 20px;
  font: 600 11px/16px var(--sans); }
i.a { background: var(--a); } i.b { background: var(--b); }
.photos i.cross { width: 26px; height: 26px; margin: -13px; opacity: .9;
  background: none; }
.scale { display: grid; grid-template-columns: repeat(3, 1fr);
  font-size: 12.5px; color: var(--faint); }
.scale::before { content: ""; grid-column: 1 / 4; height: 6px;
  border-radius: 3px; background: var(--ramp); margin: 10px 0 4px; }
.scale :nth-child(2) { text-align: center; }
.scale :nth-child(3) { text-align: right; }
.hint { font-size: 12.5px; color: var(--faint); margin: 10px 0 0; }
.ruler.live { position: sticky; top: 10px; bottom: 10px; z-index: 5; }
.ruler { display: grid; gap: 4px 26px; align-items: center;
  grid-template-columns: auto 1fr auto; margin: 22px 0; padding: 14px 20px;
  background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; box-shadow: 0 6px 24px #0000000f; }
.ruler .big { font: 500 38px/1.1 var(--serif); min-width: 3.6em; }
.ruler .big small { font: 400 16px var(--sans); color: var(--faint); }
.ruler dl { margin: 0; display: grid; gap: 0 10px; align-items: baseline;
  grid-template-columns: auto 1fr; font-size: 15px; }
.ruler dt i { display: inline-block; width: 19px; border-radius: 50%;
  color: #fff; text-align: center; font: 600 11px/19px var(--sans); }
.ruler dd { margin: 0; } .ruler dd span { color: var(--faint); }
.ruler dd b { font-weight: 500; margin-right: .55em; }
.ruler p { grid-column: 1 / 4; margin: 0; font-size: 14px;
  color: var(--faint); min-height: 1.5em; }
button { font: 15px var(--sans); color: var(--ink); background: none;
  border: 1px solid var(--line); border-radius: 8px; padding: 9px 16px;
  cursor: pointer; }
button:hover:enabled { border-color: var(--faint); }
button:disabled { opacity: .45; cursor: default; }
:focus-visible { outline: 2px solid var(--b); outline-offset: 2px; }
#cloud { touch-action: none; }
@media (hover: none) { .hint { display: none; } }
@media (max-width: 640px) {
  .photos { grid-template-columns: 1fr; }
  .tiles { gap: 10px; grid-template-columns: 1fr; margin-top: 26px; }
  .tile { padding: 10px 14px; display: flex; align-items: baseline;
    justify-content: space-between; gap: 12px; }
  .tile .big { font-size: 22px; }
  .ruler { padding: 10px 12px; gap: 2px 12px; grid-template-columns: 1fr auto; }
  .ruler .big { font-size: 28px; } .ruler dl { grid-column: 1 / 3;
    grid-row: 2; font-size: 14px; } .ruler p { grid-column: 1 / 3; }
  #cloud { height: 62vh !important; }
}
"""

PAGE = (
  template.HEAD
  + """{% if any %}
<p class="lead">Every pixel where its depth puts it, in metres. Choose two
points, in a picture or in the cloud, to measure between them.</p>
{% else %}
<p class="lead">No surface was found in this photo: every pixel is unknown or
sky. There is nothing to measure.</p>
{% endif %}
<div class="tiles">
{% for tile in tiles %}
<div class="tile"><small>{{ tile.name }}</small>
<div class="big">{{ tile.value }}<i> {{ tile.unit }}</i></div></div>
{% endfor %}
</div>

<div class="photos" style="--ratio: {{ ratio }}">
{% for name, picture in (("photo", photo), ("depth", depth)) %}
<figure><div class="view" id="{{ name }}"
{% if any %}
tabindex="0" role="application"
aria-label="{{ name }}: arrow keys move a cross, Enter chooses a point"
{% endif %}
><img src="{{ picture }}" alt="the {{ name }}" draggable="false"></div>
{% if name == "photo" and any %}
<p class="hint">Keys: arrows move a cross (Shift: by one step), Enter chooses,
Escape clears.</p>
{% elif any %}
<div class="scale" style="--ramp: {{ ramp }}"><span>{{ scale[0] }} m</span>
<span>{{ scale[1] }}</span><span>{{ scale[2] }} m</span></div>
{% endif %}
</figure>
{% endfor %}
</div>

{% if any %}
<section class="ruler" id="ruler" aria-label="measurement">
<div class="big"><span id="distance">–</span> <small>m</small></div>
<dl><dt><i class="a">A</i></dt><dd id="a"></dd>
<dt><i class="b">B</i></dt><dd id="b"></dd></dl>
<button id="clear" type="button" disabled>Clear</button>
<p id="words" role="status"></p>
</section>

<h2>The photo as a cloud</h2>
<p class="note">Drag to turn, scroll or pinch to come closer, click or tap to
choose a point. Coordinates: x to the right, y down, z ahead of the camera, as
in points.npz. The depth is an estimate from this one photo.</p>
<div id="cloud" tabindex="0" role="application"
aria-label="point cloud: arrow keys turn it, plus and minus come closer"></div>
<script type="application/json" id="data">{{ data|safe }}</script>
<script type="application/json" id="layout">{{ layout|safe }}</script>
<script>{{ plotly|safe }}</script>
<script>{{ script|safe }}</script>
{% endif %}

<details><summary>How this was made</summary>
<pre>{{ facts }}</pre></details>
</main>
</body>
</html>
"""
)
