"""The phrase bank: "task.kind/format" -> one phrase a line, in our own words.

Slots: a, b objects ("the red chair"), k observer or anchor, c a category in
plural, p, q pixels, v a length in metres; word, to, place, side, best, less,
nth and where name the relation asked about. " => " leads an answer in its own
form. The first two of each entry are the plain ones, for small models.

Levels 0 and 1 are here, 2 in phrases_relations.py, 3 in phrases_views.py.
"""

from hispatial_jax.qa import phrases_relations, phrases_views

_DEPTH_STEMS = """
Which of these two pixels is {word}?
Which pixel is {word} {to} the camera?
Of the two pixels below, which has the {less} depth?
Pick the pixel that lies {word}.
Two pixels are given. Which one is {word} in depth?
Which of the following pixels has a {less} z value?
Choose the {word} pixel.
Compare these pixels: which one is {word}?
Which option shows the pixel of {less} depth?
Select the {word} one of the two pixels.
Which pixel would a depth map show as {word}?
Identify the pixel with the {less} distance along the viewing axis.
"""

_DISTANCE = """
How far is {a} from the camera?
What is the distance from the camera to {a}?
What range separates {a} from the lens?
How many meters away from us is {a}? => {v} meters.
At what distance from the camera is {a}? => {v} meters.
Estimate how far away {a} is.
Give the distance of {a} to the viewer.
Tell me the distance to {a}. => {a} is {v} meters away.
How much space lies between the camera and {a}?
From where the picture was taken, how far is {a}? => {v} meters.
What is the object to camera distance of {a}?
How distant is {a} from this viewpoint? => It is {v} meters away.
"""

_HEIGHT = """
How tall is {a}?
What is the height of {a}?
Estimate the height of {a}. => We estimate the height of {a} to be {v} meters.
How high is {a} from its bottom to its top?
How many meters tall is {a}? => {v} meters.
What does {a} measure from bottom to top?
Give the vertical size of {a}.
Tell me how tall {a} is. => {a} is {v} meters tall.
What would a tape measure say for the height of {a}? => {v} meters.
How much vertical room does {a} need?
What is the upright extent of {a}?
State the height of {a} in meters. => {v} meters.
"""

_WIDTH = """
How wide is {a}?
What is the width of {a}?
Estimate the width of {a}. => We estimate the width of {a} to be {v} meters.
From one side to the other, how wide is {a}?
How many meters wide is {a}? => {v} meters.
What does {a} measure from side to side?
Give the width of {a}.
Tell me how wide {a} is. => {a} is {v} meters wide.
What would a tape measure say for the width of {a}? => {v} meters.
How far does {a} reach from side to side?
How broad is {a}?
State the width of {a} in meters. => {v} meters.
"""

_SIDE = """
Which side of {a} do we see?
Which side of {a} is facing the camera?
Which face of {a} is turned to us?
What side does {a} show to the viewer?
From here, which side of {a} is visible most?
Which side of {a} points at the lens?
Name the side of {a} that looks towards the camera.
Does {a} show us its front, back, left or right?
Which of its sides does {a} turn to the camera?
Looking at {a}, which side is before us?
Tell which side of {a} faces this viewpoint.
The camera looks at which side of {a}?
"""

_HEADING = """
Where is {a} heading?
Which way does {a} face in this view?
Seen from here, is {a} facing left, right, towards us or away?
In which direction is {a} pointing?
As we look at it, which way is {a} turned?
What is the heading of {a} as seen from the camera?
Tell the direction in which {a} faces.
Towards which side is the front of {a} turned?
Where does the front of {a} point?
If {a} moved forward, which way would it go?
Which way is {a} oriented, as seen by the viewer?
Describe the facing direction of {a}.
"""

BANK = {
  "pixel_xyz/text": """
what is the xyz of the pixel in {p}
Where in space is the pixel in {p}?
Give the xyz of the pixel in {p}.
What are the camera coordinates of the pixel in {p}?
Which 3D point does the pixel in {p} show?
State the 3D position of the pixel in {p}.
At which x, y and z is the pixel in {p}?
Locate the pixel in {p} in three dimensions.
Tell me the metric position of the pixel in {p}.
Lift the pixel in {p} to 3D.
What point of the scene lies behind the pixel in {p}?
Report x, y, z for the pixel in {p}.
""",
  "depth_order/text": """
Is the first pixel {p} or the second pixel {q} {word}? => the {nth}
Which is {word}, first {p} or second {q}? => the {nth}
between the pixel in {p} and the pixel in {q}, which one has a {less} depth \
value?
Of the pixels in {p} and {q}, which one is {word} {to} the camera?
Which of the pixels in {p} and {q} lies {word}?
Compare the pixels in {p} and {q}: which has the {less} depth?
Which one is {word} {to} the lens: the pixel in {p} or the pixel in {q}?
Name the {word} one of the pixels in {p} and {q}.
Two pixels lie in {p} and {q}. Which is {word}?
Tell which of {p} and {q} marks the {word} pixel.
Looking from the camera, which pixel is {word}: {p} or {q}?
Which pixel has the {less} z, the one in {p} or the one in {q}?
""",
  "depth_order/mcq": _DEPTH_STEMS,
  "depth_order/yes_no": """
Is the pixel in {p} {word} than the pixel in {q}?
Is {p} {word} than {q}?
Does the pixel in {p} have a {less} depth than the pixel in {q}?
Would you say that the pixel in {p} is {word} than the one in {q}?
Does the pixel in {p} lie {word} {to} the camera than the pixel in {q}?
Compared with the pixel in {q}, is the pixel in {p} {word}?
Is the depth in {p} {less} than the depth in {q}?
Is the surface in {p} {word} than the surface in {q}?
Does {p} mark a {word} point than {q}?
Is the z value of the pixel in {p} {less} than that in {q}?
From the camera, is {p} {word} than {q}?
Is it true that the pixel in {p} is {word} than the pixel in {q}?
""",
  "distance_to_camera/text": _DISTANCE,
  "distance_to_camera/mcq": _DISTANCE,
  "size_height/text": _HEIGHT,
  "size_height/mcq": _HEIGHT,
  "size_width/text": _WIDTH,
  "size_width/mcq": _WIDTH,
  "orientation.side/text": _SIDE,
  "orientation.side/mcq": _SIDE,
  "orientation.side/yes_no": """
Do we see the {side} side of {a}?
Is the {side} side of {a} facing the camera?
Is the {side} side of {a} turned to us?
Does {a} show its {side} side to the viewer?
Does the {side} side of {a} point at the lens?
Is it the {side} side of {a} that we look at?
Looking at {a}, is its {side} side before us?
Does {a} turn its {side} side to the camera?
From here, does the {side} side of {a} show?
Is the camera looking at the {side} side of {a}?
Would you say {a} faces us with its {side} side?
Is it true that we see the {side} side of {a}?
""",
  "orientation.heading/text": _HEADING,
  "orientation.heading/mcq": _HEADING,
  "orientation.heading/yes_no": """
Is {a} heading {side}?
Does {a} face {side} in this view?
Seen from here, is {a} facing {side}?
Is {a} pointing {side}?
As we look at it, is {a} turned {side}?
Is the heading of {a} {side}, as seen from the camera?
Does the front of {a} point {side}?
Is the front of {a} turned {side}?
If {a} moved forward, would it go {side}?
Is {a} oriented {side}, as seen by the viewer?
Would you say {a} faces {side}?
For the viewer, does {a} look {side}?
""",
  **phrases_relations.BANK,
  **phrases_views.BANK,
}
