"""Histograms of the page, in its colours."""

import html


def bars(counts: list[int], ticks: dict[float, str], title: str) -> str:
  """SVG of a histogram, in the page's colours.

  Args:
    counts: of the bins, drawn as shares of the largest.
    ticks: place, in bins from the left edge -> its label.
    title: above it.
  """
  width, height, most = 440, 190, max(1, *counts)
  step = width / len(counts)
  parts = [
    f'<svg viewBox="0 0 {width} {height + 62}" role="img"'
    f' aria-label="{html.escape(title)}">'
    f'<text class="t" x="0" y="16">{html.escape(title)}</text>'
  ]
  for k, count in enumerate(counts):
    tall = height * count / most
    share = 100 * count / max(1, sum(counts))
    parts.append(
      f'<rect x="{k * step + 0.5:.2f}" y="{28 + height - tall:.2f}"'
      f' width="{max(0.5, step - 1):.2f}" height="{tall:.2f}">'
      f"<title>{share:.2f} %</title></rect>"
    )
  base = 28 + height
  parts.append(f'<path d="M0 {base}.5H{width}"/>')
  for place, label in ticks.items():
    x = place * step
    anchor = "start" if x < 9 else "end" if x > width - 9 else "middle"
    parts.append(
      f'<text x="{x:.1f}" y="{base + 20}" text-anchor="{anchor}">'
      f"{html.escape(label)}</text>"
    )
  return "".join(parts) + "</svg>"
