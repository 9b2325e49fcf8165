"""The phrase bank of level 3; phrases.py says how to read it."""

_EYES = """
From the view of {k}, is {a} on the left or on the right?
Seen by {k}, is {a} left or right?
Through the eyes of {k}, on which hand is {a}?
If you were {k}, would {a} be on your left or right?
From the perspective of {k}, is {a} left or right of {k}?
For {k}, on which side is {a}, left or right?
Facing the way {k} faces, is {a} to the left or to the right?
Does {k} have {a} on its left or on its right?
To which side must {k} turn to face {a}, left or right?
In the frame of {k}, is {a} left or right?
Take the place of {k}: is {a} on your left or right?
On the left or right hand of {k}: where is {a}?
"""

_FACING = """
Standing at {k} and facing {b}, is {a} on the left or on the right?
At {k}, looking at {b}: is {a} left or right?
Someone stands at {k} and looks at {b}; is {a} to their left or right?
If an observer at {k} faces {b}, on which hand is {a}?
You stand where {k} is and face {b}. Is {a} left or right?
An observer at {k} faces {b}: is {a} left or right of them?
From {k}, with {b} straight ahead, is {a} left or right?
Imagine standing at {k}, turned to {b}. On which side is {a}, left or right?
Walking from {k} towards {b}, would {a} be on your left or right?
Look from {k} at {b}: does {a} lie left or right?
For a person at {k} who faces {b}, is {a} left or right?
Placed at {k} and turned to {b}, do you have {a} left or right?
"""

_EYES_FOUR = """
From the view of {k}, where is {a}?
Seen by {k}, where is {a}?
Through the eyes of {k}, in which direction is {a}?
If you were {k}, where would {a} be?
From the perspective of {k}, which side is {a} on?
For {k}, on which side is {a}?
Facing the way {k} faces, where is {a}?
Where does {k} have {a}?
In which direction from {k} does {a} lie, as {k} sees it?
In the frame of {k}, where is {a}?
Take the place of {k}: where is {a}?
Which side of {k} is {a} on, in its own view?
"""

_FACING_FOUR = """
Standing at {k} and facing {b}, where is {a}?
At {k}, looking at {b}: where is {a}?
Someone stands at {k} and looks at {b}; where do they find {a}?
If an observer at {k} faces {b}, in which direction is {a}?
You stand where {k} is and face {b}. Where is {a}?
An observer at {k} faces {b}: on which side of them is {a}?
From {k}, with {b} straight ahead, where is {a}?
Imagine standing at {k}, turned to {b}. On which side is {a}?
Walking from {k} towards {b}, where would {a} be?
Look from {k} at {b}: in which direction does {a} lie?
For a person at {k} who faces {b}, where is {a}?
Placed at {k} and turned to {b}, where do you have {a}?
"""

_COUNT = """
How many {c} are {where} {k}?
Count the {c} {where} {k}.
How many {c} lie {where} {k}?
What is the number of {c} {where} {k}?
How many of the {c} are {where} {k}?
Tell me how many {c} are {where} {k}.
Give the number of {c} that are {where} {k}.
How many {c} can be found {where} {k}?
In this picture, how many {c} are {where} {k}?
If you count the {c} {where} {k}, what do you get?
State how many {c} stand {where} {k}.
Of all {c}, how many are {where} {k}?
"""

BANK = {
  "perspective.hand/text": _EYES,
  "perspective.hand/mcq": _EYES,
  "perspective.four/mcq": _EYES_FOUR,
  "perspective/yes_no": """
From the view of {k}, is {a} on the {side}?
Seen by {k}, is {a} on the {side}?
Through the eyes of {k}, is {a} on the {side} hand?
If you were {k}, would {a} be on your {side}?
From the perspective of {k}, is {a} to the {side} of {k}?
For {k}, is {a} on the {side} side?
Facing the way {k} faces, is {a} to the {side}?
Does {k} have {a} on its {side}?
Must {k} turn to its {side} to face {a}?
In the frame of {k}, is {a} on the {side}?
Take the place of {k}: is {a} on your {side}?
Is {a} on the {side} hand of {k}?
""",
  "perspective_facing.hand/text": _FACING,
  "perspective_facing.hand/mcq": _FACING,
  "perspective_facing.four/mcq": _FACING_FOUR,
  "perspective_facing/yes_no": """
Standing at {k} and facing {b}, is {a} on the {side}?
At {k}, looking at {b}: is {a} on the {side}?
Someone stands at {k} and looks at {b}; is {a} to their {side}?
If an observer at {k} faces {b}, is {a} on the {side} hand?
You stand where {k} is and face {b}. Is {a} on your {side}?
An observer at {k} faces {b}: is {a} to the {side} of them?
From {k}, with {b} straight ahead, is {a} on the {side}?
Imagine standing at {k}, turned to {b}. Is {a} on your {side}?
Walking from {k} towards {b}, would {a} be on your {side}?
Look from {k} at {b}: does {a} lie to the {side}?
For a person at {k} who faces {b}, is {a} on the {side}?
Placed at {k} and turned to {b}, do you have {a} on the {side}?
""",
  "counting/text": _COUNT,
  "counting/mcq": _COUNT,
  "counting/yes_no": """
{are} there exactly {n} {c} {where} {k}?
{are} exactly {n} {c} {where} {k}?
{are} there just {n} {c} {where} {k}?
In this picture, {are} exactly {n} {c} {where} {k}?
Would you count exactly {n} {c} {where} {k}?
Do you see exactly {n} {c} {where} {k}?
Can exactly {n} {c} be found {where} {k}?
Is the number of {c_plural} {where} {k} equal to {n}?
Counting {c_plural} {where} {k}, do you get {n}?
Does one find exactly {n} {c} {where} {k}?
Is {n} the right count of {c_plural} {where} {k}?
Of all {c_plural}, {are} exactly {n} {where} {k}?
""",
}
