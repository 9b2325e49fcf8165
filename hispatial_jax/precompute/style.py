"""What report.html adds to the style of the house's own page."""

STYLE = """
.tiles { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tile { --c: var(--l0); } .tile b { font-size: 14.5px; }
.tile .big { font-size: 36px; margin: 6px 0 4px; }
.curves rect { fill: var(--l0); }
.curves path { stroke: var(--faint); stroke-width: 1; fill: none; }
.curves text { font: 12px var(--sans); fill: var(--faint); }
.curves text.t { fill: var(--ink); font-size: 13.5px; }
table.left { width: auto; min-width: min(100%, 480px); }
table.list td { text-align: left; white-space: normal; font-size: 13px;
  overflow-wrap: anywhere; vertical-align: top; }
table td:nth-child(2) { width: auto; }
td.bar { width: 34%; min-width: 120px; }
td.bar i { display: block; height: 10px; border-radius: 3px;
  background: var(--c); min-width: 2px; }
tr.all td.bar i, .strip.all i { background: var(--train); }
td.say, th.say { text-align: left; }
td.say { white-space: normal; min-width: 240px; font-size: 13px;
  color: var(--faint); }
td.say b { font-weight: 500; color: var(--ink); }
td.name { color: var(--c); }
.wide { margin-bottom: 26px; }
.facets { display: grid; gap: 14px 34px; margin: 0 0 26px;
  grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.facets b { display: block; font-weight: 500; font-size: 13.5px;
  margin-bottom: 6px; }
.strip { display: flex; gap: 2px; height: 22px; border-radius: 5px;
  overflow: hidden; }
.strip i { min-width: 2px; background: var(--l0); }
.strip i:nth-child(2n) { background: var(--train); }
.strip i:nth-child(4n+3) { background: var(--l1); }
.facets small { color: var(--faint); font-size: 12.5px; display: block;
  margin-top: 5px; }
main > details:not(:last-child) { margin-top: 18px; border: 0; padding: 0; }
.sheet { display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 236px), 1fr)); }
.sheet figure { margin: 0; background: var(--card); overflow: hidden;
  border: 1px solid var(--line); border-radius: 8px; }
.sheet .pair { height: 118px; }
.sheet .pair.one { grid-template-columns: 1fr; }
.sheet img { width: 100%; height: 118px; object-fit: cover; }
.sheet.tall { grid-template-columns:
  repeat(auto-fill, minmax(min(100%, 310px), 1fr)); align-items: start; }
.sheet.tall .pair, .sheet.tall img { height: 154px; }
.sheet .qa { padding: 7px 11px 10px; font-size: 13.5px; line-height: 1.4;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
.sheet .qa em { font: 600 11.5px/1.4 var(--sans); color: var(--c);
  display: block; }
.sheet .qa q { quotes: none; white-space: pre-line; display: block;
  margin: 2px 0 4px; }
.sheet .qa ul { margin: 0 0 4px; padding-left: 18px; color: var(--faint); }
.sheet .qa strong { font-weight: 600; color: var(--good); }
.sheet .more { padding: 0 11px 9px; font-size: 12px; color: var(--faint); }
.sheet figcaption { padding: 6px 9px 8px; font-size: 12px;
  color: var(--faint); display: flex; gap: 8px; }
.sheet figcaption b { font-weight: 500; color: var(--ink); flex: 1;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.sheet figcaption span { white-space: nowrap; }
"""
