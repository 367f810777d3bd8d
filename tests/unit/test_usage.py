"""What recordings come to: counted once, exactly, and never called unused without knowing."""

from __future__ import annotations

import os
import time
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.model import EVERYTHING, SECOND, Atom, Scope
from hoopcore.policy.scope import beyond, learnable, missing, outside, wants
from hoopcore.recording import Finished, Header, Known, Said
from hoopcore.recording.events import event_of_line
from hoopcore.statement import Effect, Relation, Statement, Touch
from hoopcore.usage import (
    DAY,
    Counting,
    Shape,
    Span,
    Use,
    decoded,
    encoded,
    fold,
    generalised,
    joined,
    known_since,
    narrower,
    replay,
    rollups,
    use_of,
    used_atoms,
    wanted_by,
)
from hoopcore.usage.coverage import BEAT

# --- strategies -----------------------------------------------------------------------------------

SCHEMAS, TABLES = ("", "public", "audit"), ("orders", "cards")
EFFECTS = st.sampled_from(sorted(Effect))
TOUCHES = st.builds(
    Touch, st.builds(Relation, st.sampled_from(SCHEMAS), st.sampled_from(TABLES)), EFFECTS
)
STATEMENTS = st.builds(
    lambda touches, more, opaque: Statement(
        frozenset({touch.effect for touch in touches} | more), touches, opaque=opaque
    ),
    st.frozensets(TOUCHES, max_size=3),
    st.frozensets(EFFECTS, max_size=2),
    st.booleans(),
)
ATOMS = st.builds(
    Atom,
    st.sampled_from(("*", "public", "audit")),
    st.sampled_from(("*", *TABLES)),
    st.sampled_from(("*", "read", "insert", "update", "call", "ddl")),
)
SCOPES = st.frozensets(ATOMS, min_size=1, max_size=4).map(lambda atoms: Scope(atoms).canonical())


def told(at: int, *statements: Statement, verdict: str = "allow", **more: object) -> Said:
    """A message as the agent records it."""
    touches = sorted(
        {f"{t.relation.schema or '*'}.{t.relation.name}:{t.effect}" for s in statements
         for t in s.touches}
    )  # fmt: skip
    wide = sorted({effect for one in statements for effect in beyond(one)})
    return Said(seq=1, at=at, touches=tuple(touches), beyond=tuple(wide), verdict=verdict, **more)  # type: ignore[arg-type]  # words to members


def session(*said: Said) -> Use:
    events: list[Known] = [Header(session="s", principal="p", target="t", scopes=True)]
    for number, one in enumerate(said, 1):
        one.seq = number
        events += [one, Finished(seq=number, rows=2)]
    return use_of(events)


# --- what the gate asks ---------------------------------------------------------------------------


@given(st.lists(STATEMENTS, min_size=1, max_size=3), SCOPES)
def test_a_recorded_message_passes_a_scope_just_when_the_gate_lets_it(
    message: list[Statement], scope: Scope
) -> None:
    """Invariant of the replay: it and the gate agree, for every message and every scope."""
    use = session(told(0, *message))
    passed = all(outside(scope, one) is None for one in message)
    done = fold([("s", use)]).done
    assert replay(scope, done).passed == passed
    (shape,) = done
    assert (missing(scope, wanted_by(shape)) is None) is passed


@given(st.lists(STATEMENTS, min_size=1, max_size=3), SCOPES, SCOPES)
def test_a_recorded_message_is_held_just_when_the_gate_would_hold_it(
    message: list[Statement], scope: Scope, more: Scope
) -> None:
    soft = scope.join(more)
    lacking = [one for one in message if outside(scope, one) is not None]
    learned = [learnable(scope, soft, one.touches, beyond(one)) for one in lacking]
    held = bool(lacking) and None not in learned
    found = replay(scope, fold([("s", session(told(0, *message)))]).done, soft)
    assert (found.held, found.passed) == (held, not lacking)
    atoms = frozenset[Atom]().union(*(one for one in learned if one is not None))
    assert soft.covers(Scope(atoms))  # nothing beyond what was had
    if held:
        wider = scope.join(Scope(atoms))
        assert all(outside(wider, one) is None for one in message)  # and the same passes then
        assert Scope.parse(str(wider)) == wider  # as it is stored


@given(STATEMENTS)
def test_what_a_scope_is_asked_is_what_outside_asks(statement: Statement) -> None:
    every = Scope(frozenset(one[0] for one in wants(statement.touches, beyond(statement))))
    assert outside(every, statement) is None


def test_a_name_whose_schema_is_not_known_is_told_as_perhaps() -> None:
    use = session(told(0, Statement(frozenset({Effect.READ}), frozenset({
        Touch(Relation("", "orders"), Effect.READ)}))))  # fmt: skip
    found = replay(Scope.parse("public.orders:read"), fold([("s", use)]).done)
    assert (found.passed, found.of, found.perhaps) == (0, 1, 1)
    assert replay(Scope.parse("orders:read"), fold([("s", use)]).done).passed == 1


def test_what_was_meant_counts_where_the_session_knew_it() -> None:
    said = Said(seq=1, touches=("*.orders:read",), meant=("public.orders:read",))
    (shape,) = fold([("s", session(said))]).done
    assert shape.touches == ("public.orders:read",)


# --- counting -------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 9), STATEMENTS, st.sampled_from(("allow", "refuse")))))
def test_nothing_is_counted_twice_or_lost(history: list[tuple[int, Statement, str]]) -> None:
    said = [told(day * DAY, one, verdict=verdict) for day, one, verdict in history]
    use = session(*said)
    assert use == decoded(encoded(use))
    found = fold([("s", use)])
    done = sum(verdict == "allow" for _, _, verdict in history)
    assert (found.statements, found.refused) == (len(history), len(history) - done)
    assert (sum(found.done.values()), found.rows) == (done, 2 * done)
    assert sum(found.days.values()) == done


@given(st.lists(STATEMENTS, min_size=1, max_size=6), SCOPES)
def test_what_is_proposed_covers_all_use_and_is_covered_by_the_grant(
    history: list[Statement], granted: Scope
) -> None:
    """Invariant 10: a proposal only reduces; and it would have let all use of the grant pass."""
    done = fold([("s", session(*(told(0, one) for one in history)))], granted).done
    proposed = narrower(granted, done, lambda _: frozenset())
    if proposed is not None:
        assert granted.covers(proposed)
        assert not proposed.covers(granted)
        # A want of which the grant covers another spelling may pass by that one.
        assert replay(proposed, done).passed == sum(done.values())


@given(SCOPES)
def test_what_could_not_be_read_uses_all_that_is_granted(granted: Scope) -> None:
    """Invariant 12."""
    use = session(Said(seq=1, unread="too long"))
    found = fold([("s", use)], granted)
    assert set(found.atoms) == granted.atoms
    assert found.unread == 1
    assert narrower(granted, found.done, lambda _: frozenset()) is None


def test_a_name_with_a_dot_in_it_counts_as_not_read() -> None:
    (shape,) = session(Said(seq=1, touches=("public.odd.name:read",))).shapes
    assert shape.unread


def test_a_session_of_too_many_things_counts_as_not_read_beyond_them() -> None:
    said = [Said(seq=n, touches=(f"public.t{n}:read",)) for n in range(2_100)]
    use = session(*said)
    assert len(use.shapes) == 2_001
    found = fold([("s", use)])
    assert (sum(found.done.values()), found.unread) == (2_100, 100)


def test_a_prepared_statement_counts_when_it_runs_with_the_columns_of_its_text() -> None:
    first = Said(seq=1, prepared=True, touches=("p.t:read",), columns=("card",))
    run = Said(seq=2, kind="run", origin=1, touches=("p.t:read",))
    use = use_of([first, run, run, Finished(seq=2, rows=3)])
    assert [
        (shape.columns, tally.done) for shape, tally in zip(use.shapes, use.tallies, strict=True)
    ] == [(("card",), 2)]


def test_by_day_and_atom() -> None:
    read = Said(seq=1, at=5 * DAY, touches=("p.t:read",))
    found = list(rollups("ana", "prod-db", [session(read), session(read)]))
    (one,) = found
    assert (one.atom, one.day, one.statements, one.rows) == (Atom("p", "t", "read"), 5, 2, 4)


# --- the lattice ----------------------------------------------------------------------------------


def test_a_table_becomes_its_schema_where_nothing_more_sensitive_comes_along() -> None:
    def reaches(atom: Atom) -> frozenset[str]:
        return frozenset({"cards.number"} if atom.table in ("*", "cards") else ())

    plain = generalised(Scope.parse("public.orders:read"), EVERYTHING, reaches)
    assert str(plain) == "public.orders:read"
    both = generalised(Scope.parse("public.orders,public.cards:read"), EVERYTHING, reaches)
    assert str(both) == "public.*:read"
    none = generalised(Scope.parse("public.orders:read"), EVERYTHING, lambda _: frozenset())
    assert str(none) == "public.*:read"


def test_a_verb_that_was_not_used_does_not_come_along() -> None:
    used = Scope.parse("public.cards:read public.orders:update")
    wider = generalised(used, EVERYTHING, lambda _: frozenset())
    assert str(wider) == "public.*:read public.*:update"


def test_what_takes_a_mask_off_stays_only_where_its_column_was_named() -> None:
    granted = Scope.parse("public.*:read public.customers.email:unmask public.customers.ssn:unmask")
    named = Shape(("public.customers:read",), columns=("email",))
    assert {str(atom) for atom in used_atoms(named, granted)} == {
        "public.customers:read",
        "public.customers.email:unmask",
    }
    whole = Shape(("public.customers:read",), columns=("*",))
    assert granted.unmasks <= used_atoms(whole, granted)


# --- coverage -------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=6), st.integers(0, 80))
def test_it_is_known_only_where_the_gate_was_up_without_a_pause(
    spans: list[tuple[int, int]], until: int
) -> None:
    """Invariant 12, against looking at each beat by itself."""
    given_spans = [Span(a * BEAT, (a + length) * BEAT) for a, length in spans]
    known = known_since(given_spans, until * BEAT, gap=0)
    up = {beat for a, length in spans for beat in range(2 * a, 2 * (a + length) + 1)}
    expected = None
    at = 2 * until
    while at in up:
        expected, at = at, at - 1
    assert known == (None if expected is None else expected * BEAT // 2)
    assert joined(given_spans, 0) == sorted(joined(given_spans, 0))


# --- speed ----------------------------------------------------------------------------------------

LONG = os.environ.get("HOOP_LONG") == "1"


def lines_of_a_day(statements: int) -> list[bytes]:
    import msgspec

    events: list[Known] = [Header(session="s", principal="p", target="t", scopes=True)]
    for number, (table, verb) in zip(
        range(statements), product(range(40), ("read", "read", "update")), strict=False
    ):
        touches = (f"public.t{table}:{verb}",)
        said = Said(seq=number, at=number * SECOND, touches=touches, columns=("id", "name"),
                    effects=(verb,), text="select id, name from t where id = 4711")  # fmt: skip
        events += [said, Finished(seq=number, rows=3, masked={"email": 1} if not table else {})]
    return [msgspec.json.encode(event) for event in events]


def test_a_year_of_200_people_is_rolled_up_in_two_minutes_on_one_core() -> None:
    """5 M statements with HOOP_LONG=1, which prints the time; a handful without."""
    people, days = (200, 250) if LONG else (2, 5)
    lines = lines_of_a_day(100)
    began, count = time.process_time(), 0
    for person in range(people):
        uses = []
        for _ in range(days):
            counting = Counting()
            for line in lines:
                counting.take(event_of_line(line))
            uses.append(decoded(encoded(counting.found)))
        count += sum(use.statements for use in uses)
        found = fold((str(number), use) for number, use in enumerate(uses))
        assert found.statements == days * 100
        assert sum(one.statements for one in rollups(str(person), "t", uses)) == days * 100
    took = time.process_time() - began
    assert count == people * days * 100
    if LONG:
        print(f"\n{count:,} statements in {took:.0f} s of processor time")  # noqa: T201
        assert took < 120


@settings(max_examples=20)
@given(SCOPES, SCOPES)
def test_meet_and_join_are_what_covers_says(one: Scope, other: Scope) -> None:
    both, either = one.meet(other), one.join(other)
    assert one.covers(both)
    assert other.covers(both)
    assert either.covers(one)
    assert either.covers(other)
