"""The passage of files on a channel whose words are masked: what comes on stderr is output, too."""

from __future__ import annotations

from hoopcore.passage import Given, Passage, ToPerson
from hoopcore.terminal.masks import Masks


class WordsMasked:
    """A ``Passage`` that carries files, with masks over what it gives on stderr."""

    def __init__(self, files: Passage, masks: Masks) -> None:
        self._files = files
        self._masks = masks

    @property
    def patience(self) -> float | None:
        waits = [one.patience for one in (self._files, self._masks)]
        return min((one for one in waits if one is not None), default=None)

    def _masked(self, given: list[Given]) -> list[Given]:
        found: list[Given] = []
        for one in given:
            if isinstance(one, ToPerson) and one.stderr:
                found += self._masks.from_target(one.data, stderr=True)
            else:
                found.append(one)
        return found

    def from_person(self, data: bytes) -> list[Given]:
        return self._masked(self._files.from_person(data))

    def from_target(self, data: bytes, *, stderr: bool) -> list[Given]:
        return self._masked(self._files.from_target(data, stderr=stderr))

    def person_done(self) -> list[Given]:
        return self._masked(self._files.person_done())

    def target_done(self) -> list[Given]:
        return [*self._masked(self._files.target_done()), *self._masks.target_done()]

    def decided(self, seq: int, refusal: str) -> list[Given]:
        return self._masked(self._files.decided(seq, refusal))

    def quiet(self) -> list[Given]:
        return [*self._masked(self._files.quiet()), *self._masks.quiet()]

    def closed(self) -> list[Given]:
        return [*self._files.closed(), *self._masks.closed()]
