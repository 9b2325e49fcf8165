"""The script of the page of one photo: pick two points, measure, turn."""

SCRIPT = """
"use strict";
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const bytes = Uint8Array.from(atob(data.depth), (c) => c.charCodeAt(0));
const codes = new Uint16Array(bytes.buffer);
let picked = [];

// The point of a cell: {row, column, xyz in metres}; null if unknown.
function pointAt(row, column) {
  const code = codes[row * data.columns + column];
  if (code === 0 || code === 65535) return null;
  const t = (code - 1) / 65533;
  const z = data.near ** (1 - t) * data.far ** t;
  const [[fx, skew, cx], [, fy, cy]] = data.intrinsics;
  const u = (data.first + data.step * column + 0.5) / data.width;
  const v = (data.first + data.step * row + 0.5) / data.height;
  const y = (v - cy) / fy;
  const x = (u - cx - skew * y) / fx;
  return { row, column, u, v, xyz: [x * z, y * z, z] };
}

function cellAt(u, v) {
  const index = (part, pixels, cells) =>
    Math.max(0, Math.min(cells - 1, Math.floor((part * pixels) / data.step)));
  return [index(v, data.height, data.rows),
          index(u, data.width, data.columns)];
}

function choose(point) {
  if (!point) return say("No depth there: unknown or sky.");
  if (picked.length === 2) picked = [];
  picked.push(point);
  draw();
}

function clear() { picked = []; draw(); }
function say(text) { $("words").textContent = text; }
const metres = (x) => (x < 100 ? x.toFixed(2) : x.toFixed(1));
const signed = (x) => (x < 0 ? "\\u2212" : "") + metres(Math.abs(x));

// [dx, dy, dz] -> "0.40 m right, 0.12 m up, 1.30 m ahead"
function inWords(d) {
  const names = [["right", "left"], ["down", "up"], ["ahead", "back"]];
  return names.map(([more, less], k) =>
    `${metres(Math.abs(d[k]))} m ${d[k] < 0 ? less : more}`).join(", ");
}

function draw() {
  const [a, b] = picked.map((p) => p.xyz);
  [a, b].forEach((xyz, k) => {
    const asked = k === picked.length ? "choose a point" : "";
    $("ab"[k]).innerHTML = xyz
      ? xyz.map((x, i) => `<span>${"xyz"[i]}</span> <b>${signed(x)}</b>`)
        .join(" ")
      : `<span>${asked}</span>`;
  });
  if (b) {
    const d = b.map((x, k) => x - a[k]);
    $("distance").textContent = metres(Math.hypot(...d));
    say(`From A to B: ${inWords(d)}.`);
  } else {
    $("distance").textContent = "\\u2013";
    say(a ? `A is ${metres(Math.hypot(...a))} m from the camera.` : "");
  }
  $("clear").disabled = !picked.length;
  $("ruler").classList.toggle("live", picked.length > 0);
  drawPhotos();
  drawCloud();
}

// Photo and depth picture: marks, a line, a cross for the keyboard.
function place(element, u, v) {
  element.style.left = `${100 * u}%`;
  element.style.top = `${100 * v}%`;
}

function drawPhotos() {
  for (const view of [$("photo"), $("depth")]) {
    view.querySelectorAll("i:not(.cross), svg").forEach((x) => x.remove());
    if (picked.length === 2) {
      const [p, q] = picked;
      const ends = `x1="${p.u}" y1="${p.v}" x2="${q.u}" y2="${q.v}"`;
      view.insertAdjacentHTML("beforeend",
        `<svg viewBox="0 0 1 1" preserveAspectRatio="none">
        <line class="under" ${ends}/><line class="over" ${ends}/></svg>`);
    }
    picked.forEach((p, k) => {
      const mark = document.createElement("i");
      mark.className = "ab"[k];
      mark.textContent = "AB"[k];
      place(mark, p.u, p.v);
      view.append(mark);
    });
  }
}

function listen(view) {
  const cross = document.createElement("i");
  cross.className = "cross";
  cross.hidden = true;
  view.append(cross);
  const at = { u: 0.5, v: 0.5 };
  const move = (u, v) => {
    at.u = Math.max(0, Math.min(1, u));
    at.v = Math.max(0, Math.min(1, v));
    place(cross, at.u, at.v);
  };
  view.addEventListener("click", (event) => {
    const box = view.querySelector("img").getBoundingClientRect();
    move((event.clientX - box.left) / box.width,
         (event.clientY - box.top) / box.height);
    choose(pointAt(...cellAt(at.u, at.v)));
  });
  view.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0],
                   ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (way) {
      const cells = event.shiftKey ? 1 : data.columns / 50;
      cross.hidden = false;
      move(at.u + way[0] * cells / data.columns,
           at.v + way[1] * cells / data.rows);
    } else if (event.key === "Enter" || event.key === " ") {
      choose(pointAt(...cellAt(at.u, at.v)));
    } else return;
    event.preventDefault();
  });
  view.addEventListener("blur", () => { cross.hidden = true; });
}

// The cloud. plotly's axes: x right, y ahead, z up.
const cloud = $("cloud");
const inCloud = [];
const toPlot = ([x, y, z]) => [x, z, -y];
const GREY = "#8a8a85";
const MARKS = ["#e8542f", "#1d8fa8"];
// A wide window shows more at the sides: come closer.
function layout() {
  const found = JSON.parse($("layout").textContent);
  const { eye } = found.scene.camera;
  const nearer = cloud.clientWidth > 700 ? 0.85 : 1.1;
  for (const axis of "xyz") eye[axis] *= nearer;
  return found;
}

async function makeCloud() {
  const photo = $("photo").querySelector("img");
  await photo.decode();
  const canvas = document.createElement("canvas");
  canvas.width = data.columns;
  canvas.height = data.rows;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(photo, 0, 0, data.columns, data.rows);
  const rgba = context.getImageData(0, 0, data.columns, data.rows).data;
  const colours = [];
  for (let row = 0; row < data.rows; row += data.every) {
    for (let column = 0; column < data.columns; column += data.every) {
      const point = pointAt(row, column);
      if (!point || point.xyz[2] > data.limit_m) continue;
      const k = 4 * (row * data.columns + column);
      inCloud.push(point);
      colours.push(`rgb(${rgba[k]},${rgba[k + 1]},${rgba[k + 2]})`);
    }
  }
  const axes = (points) => [0, 1, 2].map((k) => points.map(
    (p) => toPlot(p.xyz)[k]));
  const [x, y, z] = axes(inCloud);
  const common = { type: "scatter3d", showlegend: false };
  await Plotly.newPlot(cloud, [
    { ...common, x, y, z, mode: "markers", hoverinfo: "none",
      marker: { size: 2.6, color: colours } },
    { ...common, x: [], y: [], z: [], mode: "lines+markers+text",
      hoverinfo: "skip", textposition: "top center",
      textfont: { size: 17, color: MARKS }, line: { color: GREY, width: 5 },
      marker: { size: 9, color: MARKS, line: { color: "#fff", width: 1 } } },
    { ...common, x: [0], y: [0], z: [0], mode: "markers",
      hovertemplate: "camera<extra></extra>",
      marker: { size: 5, symbol: "diamond", color: GREY } },
  ], layout(), { displayModeBar: false, responsive: true });
  listenToCloud();
  draw();
}

// Marks are drawn 1 % nearer, or the surface would hide half of them.
function drawCloud() {
  if (!cloud.data) return;
  const [x, y, z] = [0, 1, 2].map((k) => picked.map(
    (p) => 0.99 * toPlot(p.xyz)[k]));
  Plotly.restyle(cloud, { x: [x], y: [y], z: [z],
    text: [["A", "B"].slice(0, picked.length)] }, [1]);
}

// plotly tells of clicks while a button is down and a frame is drawn: in a drag
// too, and never on a slow machine. So the point under the pointer is kept and
// chosen when the pointer is lifted where it was put down.
function listenToCloud() {
  let start = null;
  let under = null;
  const keep = ({ points: [hit] }) => {
    under = hit.curveNumber === 0 ? inCloud[hit.pointNumber] : null;
  };
  cloud.on("plotly_hover", keep);
  cloud.on("plotly_click", keep);
  cloud.on("plotly_unhover", () => { under = null; });
  cloud.addEventListener("pointerdown", (event) => {
    start = [event.clientX, event.clientY];
    if (event.pointerType !== "mouse") under = null;
  }, true);
  window.addEventListener("pointerup", (event) => {
    const still = start &&
      Math.hypot(event.clientX - start[0], event.clientY - start[1]) < 6;
    start = null;
    if (still) setTimeout(() => under && choose(under), under ? 0 : 300);
  }, true);
  cloud.addEventListener("keydown", turn);
}

function turn(event) {
  const scene = cloud._fullLayout.scene;
  const { x, y, z } = scene.camera.eye;
  const ways = { ArrowLeft: [-0.15, 0, 1], ArrowRight: [0.15, 0, 1],
                 ArrowUp: [0, 0.12, 1], ArrowDown: [0, -0.12, 1],
                 "+": [0, 0, 0.87], "-": [0, 0, 1.15] };
  const way = ways[event.key];
  if (!way) return;
  event.preventDefault();
  const radius = way[2] * Math.hypot(x, y, z);
  const side = Math.atan2(y, x) + way[0];
  const rise = Math.asin(z / Math.hypot(x, y, z)) + way[1];
  const up = Math.max(-1.4, Math.min(1.4, rise));
  Plotly.relayout(cloud, { "scene.camera.eye": {
    x: radius * Math.cos(up) * Math.cos(side),
    y: radius * Math.cos(up) * Math.sin(side),
    z: radius * Math.sin(up) } });
}

listen($("photo"));
listen($("depth"));
$("clear").addEventListener("click", clear);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") clear();
});
draw();
makeCloud().catch((error) => {
  cloud.textContent = `The cloud cannot be drawn here: ${error.message}`;
});
"""
