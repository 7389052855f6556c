"""Words of the papers' tasks, by category. Each is one token of the tokenizer that its task uses, with a space in front.

They are this project's own choice; `tests/test_paper_tasks.py` holds them to the real tokenizers.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words("""
    Alice Oscar Clara Hugo Simon Martin Helen Victor Julia Peter Diana Felix Leo Nina Paul Lucy Henry Ruth Eva George
    Marie Walter Vera Carl Louis Ellen Ralph Sara Arthur Maria Oliver Jane Harry Nora Philip Joan Hannah Roy Lily Ben
    Claire Sam Sophie Dan Elena Neil Zoe Alan Sally Jack Emma Bruce Rita Colin Fiona Derek Gloria Gordon Naomi Craig
    Judy Leon Lena Ivan Marco Luna Glenn Bella Keith Paula Wayne Carmen Dennis Tara Edgar Hans Isaac Jacob Leah Noah
    Ada Owen Ross Stan Dave Jill Ted Anne Fred Karl Cindy Albert Vincent Betty Edward Kate Stuart Lisa Theo Molly
""")
"""People, of GPT-2."""
PLACES = _words("""
    market station museum garden library beach church bakery castle harbor farm forest temple bank
""")
"""Where one walks to."""
OBJECTS = _words("""
    book pen ring coin map letter ticket flower sandwich key basket hat cup lamp toy card
""")
"""What one gives, behind "a"."""
EVENTS = _words("""
    alliance anarchy battle blaze blockade boom boycott broadcast career ceasefire census ceremony chase combat
    commerce concert conference confinement controversy council course crisis crusade curfew debate defense delay
    democracy depression detention dictatorship display drill drought duel election embargo empire enterprise era
    excavation exercise exhibition exile exodus experiment fair famine fashion feast festival feud fever fight fire flood
    frost game harmony harvest hunt inflation inquiry interval lawsuit lecture march meeting migration ministry mission
    monarchy monopoly movement myth occupation offensive opera parade parliament partnership pause peace performance
    protest race rebellion recession recovery renovation repair republic retreat revolt scandal school search season
    session shortage silence storm survey tenure tournament trade training trend truce turmoil tyranny unrest uprising
    venture war winter
""")
"""What can last for years, of GPT-2."""
FUNCTIONS = _words("""
    load parse send merge build check fetch write open close update render resolve apply attach convert select filter
    search compare store reset start stop create remove print copy move join split sort count find scan draw
""")
"""Of GPT-NeoX with digits, as the next two."""
ARGUMENTS = _words("""
    size file last port shape model name path value index key data mode level width height color label title token
    limit offset buffer source target parent child node edge weight rate scale step state event user group table field
    row column cell page line block text word image frame window style format type unit host server client query result
    error option version range length depth speed order rank score point angle
""")
"""None is a word of DESCRIBING."""
DESCRIBING = _words("""
    oil crime land paper piece water stone river glass metal wood sound music story road house bridge street market
    summer morning night cloud wind rain fire dust sand salt bread fruit plant tree grass seed root leaf bird fish horse
    dog cat heart hand face head foot bone blood skin eye voice dream hope love peace power force energy heat cold iron
    gold dark heavy soft hard sharp quick slow deep wide bright
""")
"""The first of a docstring stands behind quotes without a space, so they are one token without it too."""
