"""A key is found at the line people wrote it on."""

from __future__ import annotations

from hoopcore.places import did_you_mean, line_of, lines_of

TEXT = '''\
top = 1
[agent]
data = "x"   # [not.a.header]
text = """
[hidden]
key = 1
"""
inline = { user = "a" }

[[rule]]
name = "one"
[[rule]]
name = "two"
  [rule.deep]
  a.b = 2
["quoted name"]
'x' = 1
'''


def test_keys_and_tables_are_found_at_their_lines() -> None:
    places = lines_of(TEXT)
    assert places["top",] == 1
    assert places["agent",] == 2
    assert places["agent", "data"] == 3
    assert places["rule", 0, "name"] == 11
    assert places["rule", 1] == 12
    assert places["rule", 1, "name"] == 13
    assert places["rule", 1, "deep", "a", "b"] == 15
    assert places["quoted name", "x"] == 17


def test_nothing_inside_a_long_string_is_a_key() -> None:
    places = lines_of(TEXT)
    assert ("hidden",) not in places
    assert ("agent", "key") not in places


def test_an_unknown_place_is_the_nearest_table_around_it() -> None:
    places = lines_of(TEXT)
    assert line_of(places, ("agent", "inline", "user")) == 8
    assert line_of(places, ("rule", 1, "absent")) == 12
    assert line_of(places, ("nowhere",)) == 0


def test_only_a_near_word_is_proposed() -> None:
    assert did_you_mean("recordngs", ["recordings", "data"]) == '; did you mean "recordings"?'
    assert did_you_mean("zzz", ["recordings"]) == ""
