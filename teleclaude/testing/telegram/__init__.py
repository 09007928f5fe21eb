"""A strict fake of the Telegram Bot API: it refuses what Telegram refuses, in Telegram's words, over real HTTP.

::

    async with FakeBotApi(clock=clock) as fake:                # budgets=None lifts the limits of the rate
        ann = fake.user(7, "Ann")                               # a Person: made once, then the same
        group = fake.add_forum("Work", members=[ann])           # the bot is administrator; group.id is its chat id
        # the client under test gets fake.token, fake.base_url, fake.base_file_url
        message = await ann.says("/new build", chat=group)      # topic=… for a topic, ago=600 for an old one
        topic = await fake.until(lambda: fake.topic("build"))   # waits, event by event
        await fake.until(lambda: fake.messages("ready", topic=topic))
        tap = await ann.presses("Yes")                          # the newest message with that button
        await fake.until(lambda: tap.answer is not None)

**People** (``fake.user(id)``): ``says edits deletes uploads sends_photo voice presses creates_topic closes_topic
reopens_topic renames_topic deletes_topic reacts joins leaves blocks unblocks``. ``chat`` is by default the first group,
without one the private chat with the first bot. ``says(extra=…)`` adds fields (``forward_origin``, ``via_bot``),
``anonymous=True`` speaks as the group; ``presses(data=…)`` sends callback data that nobody minted.

**The world**: ``add_forum add_group private add_bot kick_bot demote_bot migrate``; ``fake.bot.topics = True`` gives the
bot topics in private chats, ``fake.bot.privacy = False`` ends its privacy mode.

**Faults**: ``fail(code, description, method=, chat=, times=)``, ``flood(seconds)`` (429 once), ``ban(chat, seconds)``
(429 until then), ``cut(done=)`` (a reset after the call was done, or before), ``delay(seconds)``, ``misplace()`` (into
the general topic, silently), ``second_poller()`` (409), ``outage(on=)``, ``inject(update)``,
``fake.bot.updates.repeat(n)`` (updates delivered twice), ``.skip(n)`` (a hole in the ids). Most answer a ``Fault``
with ``met`` and ``end()``.

**Looking**: ``messages(text, chat=, topic=, button=)``, ``topics()``, ``topic(name)``, ``calls(method, chat=, ok=)``,
``polling()``, ``transcript()``; ``recorder.early`` holds calls sent while their chat had been told to wait, and
``busiest(times_ms, 60)`` says the most that fell into any minute. A ``Message`` has ``shown``, ``buttons``, ``silent``,
``thread_id``, ``edits``, ``content``, ``reactions``. ``fake.world`` is the pure state behind all this.

**Time** is the clock's that is given in. With a ``ManualClock`` long polls, limits and dates follow it:
``await fake.pass_time(600)`` lets ten minutes pass in steps and lets the calls of each step end.

**Limits** (``Budgets``): 1/s for each chat, 20 in any 60 s for a group, 30/s for the bot. Sends, edits, pins and all
that makes or changes a topic count, refused ones too; typing, reactions, deletions, drafts and answers to taps do not.

**Incidents**: ``fake.save(path)`` writes everything that happened as JSON lines; ``Incident.load(path).play(fake)``
does it again to a new fake, and the bot under test has to do better this time.

Where Telegram publishes no rule, the fake takes the stricter reading: no bot writes into a closed topic, more than 100
entities are refused and not ignored, and so are topic names over 128 units. Texts are measured in UTF-16 units after
their entities have been parsed; control characters become spaces, as they do in Telegram.
"""

from teleclaude.testing.telegram.fake import FakeBotApi
from teleclaude.testing.telegram.faults import Fault
from teleclaude.testing.telegram.incident import Incident
from teleclaude.testing.telegram.limits import Budgets, Window
from teleclaude.testing.telegram.people import Person
from teleclaude.testing.telegram.recorder import Call, Deed, busiest
from teleclaude.testing.telegram.world import Bot, Chat, Message, Tap, Topic, User

__all__ = [
    "Bot",
    "Budgets",
    "Call",
    "Chat",
    "Deed",
    "FakeBotApi",
    "Fault",
    "Incident",
    "Message",
    "Person",
    "Tap",
    "Topic",
    "User",
    "Window",
    "busiest",
]
