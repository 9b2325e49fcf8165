"""The phrase bank of level 2; phrases.py says how to read it."""

_DISTANCE = """
What is the distance between {a} and {b}?
How far apart are {a} and {b}?
Center to center, how far apart are {a} and {b}?
How many meters lie between {a} and {b}? => {v} meters.
How far is {a} from {b}?
Estimate the distance from {a} to {b}. => {v} meters.
Give the distance between the centers of {a} and {b}.
What length separates {a} from {b}? => {v} meters.
Tell me how far {b} is from {a}. => {v} meters.
Measured between their centers, how far is {a} from {b}?
What would a tape from the middle of {a} to the middle of {b} read?
How much distance is there between {a} and {b}? => {v} meters.
"""

_SIDEWAYS = """
Which is farther to the {word}, {a} or {b}?
Which one is on the {word}, {a} or {b}?
Between {a} and {b}, which one is positioned on the {word} side?
Of {a} and {b}, which stands more to the {word}?
Which lies to the {word} of the other: {a} or {b}?
Name the one on the {word}: {a} or {b}.
Looking at {a} and {b}, which is on the {word} hand side?
Which of the two is on the {word}, {a} or {b}?
In this view, is it {a} or {b} that lies to the {word}?
Compare {a} and {b}: which one is farther {word}?
Who is on the {word} side here, {a} or {b}?
Tell which one lies to the {word}, {a} or {b}.
"""

_SIDEWAYS_SIDE = """
Is {a} to the left or to the right of {b}?
On which side of {b} is {a}?
Seen from the camera, is {a} left or right of {b}?
Compared with {b}, is {a} on the left or on the right?
Relative to {b}, does {a} lie to the left or to the right?
Which way does one look from {b} to find {a}: left or right?
Does {a} stand left or right of {b}?
From {b}, is {a} towards the left or the right of the picture?
For us, on which hand side of {b} is {a}?
Tell whether {a} is left or right of {b}.
Where is {a} with respect to {b}, left or right?
Left or right: where is {a}, seen against {b}?
"""

_UPRIGHT = """
Which is {place}, {a} or {b}?
Which one is placed {place}, {a} or {b}?
Between {a} and {b}, which one is {place}?
Of {a} and {b}, which sits {place}?
Which lies {place}: {a} or {b}?
Name the {place} one: {a} or {b}.
Looking at {a} and {b}, which is {place} in space?
Which of the two is {place}, {a} or {b}?
In this view, is it {a} or {b} that is {place}?
Compare {a} and {b}: which one is {place} up?
Which has the {place} position, {a} or {b}?
Tell which one is {place}, {a} or {b}.
"""

_UPRIGHT_SIDE = """
Is {a} above or below {b}?
Does {a} lie above or below {b}?
Compared with {b}, is {a} above or below?
Relative to {b}, is {a} found above or below?
Is the place of {a} above or below that of {b}?
Which way does one look from {b} to find {a}: above or below?
With respect to {b}, is {a} above or below?
Tell whether {a} is above or below {b}.
Where is {a}, above or below {b}?
Above or below: where is {a}, seen against {b}?
Does one find {a} above {b} or below it?
Is {a} positioned above {b} or below it?
"""

_DEPTH = """
Which is {word}, {a} or {b}?
Which one is {word} {to} the camera, {a} or {b}?
Identify the object that is {word}: {a} or {b}?
Between {a} and {b}, which one is {word}?
Of {a} and {b}, which stands {word} {to} us?
Which lies {word} {to} the viewer: {a} or {b}?
Name the {word} one of {a} and {b}.
Looking at {a} and {b}, which is {word}?
Which of the two is {word}, {a} or {b}?
Compare {a} and {b}: which one is {word}?
Seen from the lens, which is {word}, {a} or {b}?
Tell which one is {word} {to} us, {a} or {b}.
"""

_DEPTH_SIDE = """
Is {a} nearer or farther than {b}?
Is {a} nearer to the camera than {b}, or farther?
Compared with {b}, is {a} nearer or farther?
Relative to {b}, does {a} stand nearer or farther?
For the viewer, is {a} nearer or farther than {b}?
Does {a} lie nearer or farther than {b}?
With respect to {b}, is {a} nearer or farther?
Tell whether {a} is nearer or farther than {b}.
Nearer or farther: how is {a} placed, compared with {b}?
Seen from the lens, is {a} nearer or farther than {b}?
From where we are, is {a} nearer or farther than {b}?
Looking from here, is {a} nearer than {b} or farther?
"""

_SIZE = """
Which is {word}, {a} or {b}?
Which one is {word}: {a} or {b}?
Between {a} and {b}, which is {word}?
Of {a} and {b}, which one is {word}?
Name the {word} one of {a} and {b}.
Which of the two is {word}, {a} or {b}?
Compare {a} and {b}: which one is {word}?
Tell which one is {word}, {a} or {b}.
In real size, which is {word}: {a} or {b}?
Judging their true sizes, which is {word}, {a} or {b}?
Is it {a} or {b} that is {word}?
If both stood side by side, which would be {word}, {a} or {b}?
"""

_SIZE_MANY = """
Which of these is the {best}?
Which one is the {best}?
Pick the {best} of these things.
Among the following, which is the {best}?
In real size, which of these is the {best}?
Name the {best} of the things listed.
Choose the {best} one.
Compare them: which one is the {best}?
Judging true sizes, which is the {best}?
Which option names the {best} thing?
If all stood side by side, which would be the {best}?
Of those named below, which is the {best}?
"""

BANK = {
  "distance/text": _DISTANCE,
  "distance/mcq": _DISTANCE,
  "left_right.which/text": _SIDEWAYS,
  "left_right.which/mcq": _SIDEWAYS,
  "left_right.side/text": _SIDEWAYS_SIDE,
  "left_right.side/mcq": _SIDEWAYS_SIDE,
  "left_right/yes_no": """
Is {a} to the {word} of {b}?
Is {a} on the {word} of {b}?
Seen from the camera, is {a} {word} of {b}?
Compared with {b}, is {a} on the {word}?
Relative to {b}, does {a} lie to the {word}?
Does {a} stand to the {word} of {b}?
Can {a} be found to the {word} of {b}?
In this view, is {a} on the {word} side of {b}?
For us, is {a} farther to the {word} than {b}?
Is it true that {a} is {word} of {b}?
Does one look to the {word} from {b} to find {a}?
Would you say {a} is to the {word} of {b}?
""",
  "above_below.which/text": _UPRIGHT,
  "above_below.which/mcq": _UPRIGHT,
  "above_below.side/text": _UPRIGHT_SIDE,
  "above_below.side/mcq": _UPRIGHT_SIDE,
  "above_below/yes_no": """
Is {a} {word} {b}?
Does {a} lie {word} {b}?
Compared with {b}, is {a} {place}?
Is {a} {place} than {b}?
Can {a} be found {word} {b}?
Is the place of {a} {place} than that of {b}?
Is it true that {a} is {word} {b}?
Would you say {a} is {word} {b}?
Is {a} positioned {word} {b}?
Does {a} have a {place} position than {b}?
In this view, is {a} {word} {b}?
Does one look {word} {b} to find {a}?
""",
  "nearer_farther.which/text": _DEPTH,
  "nearer_farther.which/mcq": _DEPTH,
  "nearer_farther.side/text": _DEPTH_SIDE,
  "nearer_farther.side/mcq": _DEPTH_SIDE,
  "nearer_farther/yes_no": """
Is {a} {word} than {b}?
Is {a} {word} {to} the camera than {b}?
Compared with {b}, is {a} {word}?
Relative to {b}, does {a} stand {word}?
For the viewer, is {a} {word} than {b}?
Does {a} lie {word} {to} us than {b}?
Is it true that {a} is {word} than {b}?
Would you say {a} is {word} than {b}?
Seen from the lens, is {a} {word} than {b}?
Looking from here, is {a} {word} than {b}?
Is {a} placed {word} {to} the viewer than {b}?
Of the two, is {a} {word} than {b}?
""",
  "size_comparison/text": _SIZE,
  "size_comparison.two/mcq": _SIZE,
  "size_comparison.many/mcq": _SIZE_MANY,
  "size_comparison/yes_no": """
Is {a} {word} than {b}?
In real size, is {a} {word} than {b}?
Would you say {a} is {word} than {b}?
Compared with {b}, is {a} {word}?
Is it true that {a} is {word} than {b}?
Judging true sizes, is {a} {word} than {b}?
Side by side, would {a} be {word} than {b}?
Does {a} measure {word} than {b}?
Is {a} the {word} one, compared with {b}?
Of the two, is {a} {word} than {b}?
Do you judge {a} to be {word} than {b}?
If measured, would {a} prove {word} than {b}?
""",
}
