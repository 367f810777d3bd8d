"""Questions of the form, and what is sent to the agent.

Everything that is asked of the agent is asked in a thread, one thing at a time; what comes back is
put on the screen by Textual's own thread.  An answer counts when the agent has said so, and not
before.

Order of the file: what is known, questions, what is sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from textual.app import App
from textual.widgets import Input, OptionList, Static

from hoopcli import review_view
from hoopcli.errors import ApiError, Failure
from hoopcli.options import moment, scope_text
from hoopcli.review_form import words
from hoopcli.view import clean


class Asks(Protocol):
    """The part of the client that the form needs."""

    def get(self, path: str, **params: object) -> Any: ...
    def post(self, path: str, body: dict[str, Any] | None = None) -> Any: ...


class Answering(App[int]):
    """``done`` is what was answered, by grant; ``reviews`` what of it may be undone."""

    def __init__(self, client: Asks, items: list[Any]) -> None:
        super().__init__()
        self.client = client
        self.items = [item for item in items if review_view.waits_for(item)]
        self.done: dict[str, str] = {}  # grant → what became of it
        self.reviews: dict[str, str] = {}  # grant → the review that may be undone
        self.opened: dict[str, list[str]] = {}
        self.busy = False
        self._began = time.monotonic()
        self._one_at_a_time = threading.Lock()
        self._then: Callable[[str], None] | None = None  # what becomes of what is typed
        self._typing: Callable[[str], None] | None = None  # at each letter
        self._pick: dict[str, Callable[[], None]] = {}  # keys of a question
        self._trial = 0
        self.head = Static("", id="head", markup=False)
        self.list = OptionList(id="list", markup=False)
        self.card = Static("", id="card", markup=False)
        self.said = Static("", id="said", markup=False)
        self.box = Input(id="ask", compact=True, select_on_focus=False)

    def say(self, text: str) -> None:
        self.said.update(text)

    def draw(self) -> None:
        """Everything that an answer has changed."""
        raise NotImplementedError

    def go_on(self) -> None:
        """To the next that waits."""
        raise NotImplementedError

    # --- questions --------------------------------------------------------------------------------

    def _ask(
        self,
        question: str,
        then: Callable[[str], None],
        value: str = "",
        typing: Callable[[str], None] | None = None,
    ) -> None:
        self.say(question)
        self._then, self._typing = then, typing
        self.box.value = value
        self.box.add_class("asks")
        self.screen.set_focus(self.box)

    def _ask_key(self, question: str, keys: dict[str, Callable[[], None]]) -> None:
        self.say(question)
        self._pick = keys

    def _asked(self) -> None:
        self._then = self._typing = None
        self._pick = {}
        self.box.remove_class("asks")
        self.screen.set_focus(self.list)

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._typing is not None:
            self._typing(event.value)

    def _submit(self) -> None:
        then, text = self._then, self.box.value.strip()
        self._asked()
        if then is not None:
            then(text)

    def _keep(self, item: Any) -> None:
        if item.get("tier") == "low":
            self._send(item, "keep")
            return

        def then(reason: str) -> None:
            if reason:
                self._send(item, "keep", reason=reason)
            else:
                self.say("Without a reason it is not kept.")

        self._ask("Why do you still need it?", then)

    def _delegate(self, item: Any) -> None:
        def who(name: str) -> None:
            if name:
                self._ask(
                    f"Why do you ask {clean(name)}?",
                    lambda why: self._send(item, "delegate", to=name, reason=why),
                )

        self._ask("Who knows (e-mail address)?", who)

    def _cannot_say(self, item: Any) -> None:
        self._ask("What stands in the way?", lambda why: self._send(item, "cannot say", reason=why))

    def _narrow(self, item: Any) -> None:
        less = item.get("narrower") or {}
        start = str(less.get("scope") or item.get("granted", ""))
        self._ask(
            "What is enough?  schema.table:verb …",
            lambda text: self._until(item, text),
            start,
            lambda text: self._try(item, text),
        )

    def _until(self, item: Any, text: str) -> None:
        try:
            scope = scope_text(text)
        except Failure as problem:
            self.say(clean(problem.message))
            return

        def then(end: str) -> None:
            try:
                until = moment("the end", end) if end else None
            except Failure as problem:
                self.say(clean(problem.message))
                return
            more = {"scope": scope} | ({} if until is None else {"until": until})
            yes = {"y": lambda: self._send(item, "narrow", **more), "n": lambda: self.say("")}
            told = f"Narrow to {clean(scope)}{f' until {clean(end)}' if end else ''}?"
            self._ask_key(f"{told}  Yes (y), no (n)", yes)

        self._ask("An earlier end (in 1h, 18:00), or nothing: as it is", then)

    def _try(self, item: Any, text: str) -> None:
        """How many statements pass under what is typed so far; the last letter counts."""
        self._trial += 1
        number = self._trial
        try:
            scope = scope_text(text)
        except Failure:
            self.say("What is enough?  That is no scope yet.")
            return

        def work() -> None:
            with self._one_at_a_time:
                if number != self._trial:
                    return
                try:
                    found = self.client.post(
                        "/v1/reviews/replay", {"grant": item["grant"], "scope": scope}
                    )
                    told = words.passing(found)
                except Failure as problem:
                    told = clean(problem.message)
            if number == self._trial:
                self.call_from_thread(self._tried, number, told)

        self.run_worker(work, thread=True, group="trial")

    def _tried(self, number: int, told: str) -> None:
        if number == self._trial and self._typing is not None:
            self.say(told)

    def _alike(self, item: Any) -> None:
        """All of the group of this one that wait and may be answered together."""
        alike = [
            one
            for one in self.items
            if one.get("group") == item.get("group")
            and not one.get("alone", True)
            and one["grant"] not in self.done
        ]
        if len(alike) < 2 or item not in alike:
            self.say("This one is answered by itself.")
            return
        keys: dict[str, Callable[[], None]] = {
            "k": lambda: self._keep_all(alike),
            "g": lambda: self._send_all(alike, "give back", ""),
            "n": lambda: self.say(""),
        }
        named = f"{len(alike)} grants, {item.get('group')}"
        self._ask_key(f"{named}: keep all (k), give all back (g), no (n)", keys)

    def _keep_all(self, alike: list[Any]) -> None:
        if all(one.get("tier") == "low" for one in alike):
            self._send_all(alike, "keep", "")
            return

        def then(reason: str) -> None:
            if reason:
                self._send_all(alike, "keep", reason)
            else:
                self.say("Without a reason they are not kept.")

        self._ask("Why do you still need them?", then)

    # --- what is sent -----------------------------------------------------------------------------

    def _send(self, item: Any, answer: str, **more: Any) -> None:
        self._post([self._body(item, answer, 1, **more)], answer)

    def _send_all(self, alike: list[Any], answer: str, reason: str) -> None:
        self._post([self._body(one, answer, len(alike), reason=reason) for one in alike], answer)

    def _body(self, item: Any, answer: str, group: int, **more: Any) -> dict[str, Any]:
        took = int(time.monotonic() - self._began)
        opened = self.opened.get(item["grant"], [])
        told = {"opened": opened[:50], "took": took, "group": group}
        return {"grant": item["grant"], "answer": answer, **told, **more}

    def _post(self, bodies: list[dict[str, Any]], answer: str) -> None:
        """Sends the answers, one after the other, until one is refused."""
        self.busy = True
        self.say("…")

        def work() -> None:
            for number, body in enumerate(bodies):
                try:
                    with self._one_at_a_time:
                        decided = self.client.post("/v1/reviews", body)
                except Failure as problem:
                    self.call_from_thread(self._refused, problem, bodies[number:], answer)
                    return
                last = number == len(bodies) - 1
                self.call_from_thread(self._answered, body["grant"], decided, answer, last)

        self.run_worker(work, thread=True, group="send")

    def _answered(self, grant: str, decided: Any, answer: str, last: bool) -> None:
        self.done[grant] = words.PAST[answer]
        review = decided.get("review") or {}
        if review.get("undo_until"):
            self.reviews[grant] = review["id"]
        if last:
            self.busy = False
            self.say(f"{grant}: {words.told(decided, answer)}")
            self.go_on()
            self.draw()

    def _refused(self, problem: Failure, left: list[dict[str, Any]], answer: str) -> None:
        self.busy = False
        self.draw()
        if not (isinstance(problem, ApiError) and problem.error == "too_many"):
            self.say(clean(problem.message))
            return
        sure = [body | {"sure": True} for body in left]
        keys: dict[str, Callable[[], None]] = {
            "y": lambda: self._post(sure, answer),
            "n": lambda: self.say("Nothing more is ended."),
        }
        self._ask_key(f"{clean(problem.message)}.  Is that meant?  Yes (y), no (n)", keys)

    def _undo(self, item: Any) -> None:
        grant = item["grant"]
        if grant not in self.reviews:
            self.say("Nothing was given back here that could be taken again.")
            return
        self.busy = True

        def work() -> None:
            try:
                with self._one_at_a_time:
                    self.client.post(f"/v1/reviews/{self.reviews[grant]}/undo", {})
            except Failure as problem:
                self.call_from_thread(self._undone, grant, clean(problem.message), False)
                return
            self.call_from_thread(self._undone, grant, "It is yours again.", True)

        self.run_worker(work, thread=True, group="send")

    def _undone(self, grant: str, told: str, done: bool) -> None:
        self.busy = False
        self.say(told)
        if done:
            self.done.pop(grant, None)
            self.reviews.pop(grant, None)
        self.draw()
