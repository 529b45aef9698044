"""A listener with a poller behind it: a part from which sources are made.

A service that has both a stream of events (which may drop, repeat, reorder, lag, end or break) and a way to ask what
happened since a cursor becomes a feed on which each fact is announced once, and in order for each URI.

The nouns:

- An **event** is a message about a fact: from the stream, or in the answer of a poll. The same fact may come in
  several events. A **fact** is known by its URI, its id and its version together.
- A **version** is the service's number of one URI's states: it rises, and may leave numbers out. It orders facts of
  one URI. A **sequence** number is dense (each event has the next one) within its **series**; what is missing is a
  *hole*. A series is what the service numbers by itself: everything, a channel, a connection. A service that starts
  to count anew starts a new series: the name must say so. Either, both or none may be there.
- A **cursor** is the service's word for "up to here", never a time of ours: the clocks need not agree. `poll(cursor)`
  answers what happened behind it, oldest first, and is the truth: what it shows and what it passes over. `poll(None)`
  answers where things stand now: the *baseline*, which is remembered and not announced.
- The **checkpoint** is the cursor up to which everything has been announced, and the last `memory` facts that have
  been. It goes with each report, so it is right wherever the task ends.

What is done: a stream that (re)opens may have missed something, and so may one with a hole; then a poll is made, and
later events wait until what it found has been announced. They wait at most `patience`; then they are announced, the
feed is `degraded` and says what is missing, and the poll goes on being tried. While the stream is down polls are made
every `every`; while it is up, every `check_every`, because a stream without numbers drops silently.

What is guaranteed, as long as polls tell the truth:

- *At most once.* A fact is recognised while it is among the last `memory` ones announced, and by its number for as
  long as its series is among those. A poll is made before that memory is used up, so that a task that is killed
  anywhere repeats nothing; only where polls fail for that long may a restart repeat.
- *In order for each URI*: by version, else by sequence, else as polls show it, else as it arrived. What is older than
  what was announced of its URI is *late*: it is counted, not announced.
- *Nothing is lost, or it is superseded.* Each fact is announced, or a later one of the same URI was. The latter
  only happens to what the stream dropped or reordered without a number to show it, or after `patience` was lost.
- *Bounded.* At most `limit` events wait, and one page of a poll more; then the stream is not read on.

What cannot be: with neither versions nor numbers, a poll that lags behind the stream (it does not show yet what the
stream brought before it was asked) can bring an older fact after a newer one; so can a poll of more than `limit`
events right after a kill. A service that starts to count anew without a new series looks like one that repeats. What happened before the first poll was
answered, and is in it, is the baseline. A cursor that the service has forgotten (`CursorLost`) leaves a gap, which is
said.

Whose state: everything is the `Machine`'s, without Trio, made anew from the checkpoint by each `run`; three tasks
(stream, polls, reports) call it between their checkpoints. Only `Statistics` is the caller's, to outlive the task.
"""

from mcptrio.sources.listener.errors import CursorLost, Unavailable
from mcptrio.sources.listener.event import Answer, Event
from mcptrio.sources.listener.run import OpenStream, Poll, run
from mcptrio.sources.listener.settings import ListenerSettings
from mcptrio.sources.listener.statistics import Statistics

__all__ = [
    "Answer",
    "CursorLost",
    "Event",
    "ListenerSettings",
    "OpenStream",
    "Poll",
    "Statistics",
    "Unavailable",
    "run",
]
