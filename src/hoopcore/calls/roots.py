"""Which files of a host the names in a transfer stand for.

The text of the call says where they lie, and sometimes leaves it open: then a name is every file
that it may be, which is what rules on paths go by.

Order of the file: roots, paths.
"""

from __future__ import annotations

from dataclasses import dataclass

from hoopcore.command import Text

ANYWHERE = Text("", whole=False)


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the names of a transfer lie on the target."""

    upload: bool
    paths: tuple[Text, ...]  # as the call names them
    folder: bool = False  # what is uploaded to is a folder, whatever its name looks like
    relative: bool = False  # names are the paths themselves

    def files(self, name: str, *, alone: bool) -> tuple[Text, ...]:
        """Every path that a name in the protocol may stand for, the likeliest first.

        ``alone``: nothing else goes up, so that what is uploaded to may be the file itself.
        """
        found = self._up(name, alone=alone) if self.upload else self._down(name)
        return tuple(dict.fromkeys(found)) or (ANYWHERE,)

    def _up(self, name: str, *, alone: bool) -> list[Text]:
        folder = self.paths[0]
        said = folder.said
        within = below(folder, name)
        first, _, rest = name.partition("/")
        last = said.rpartition("/")[2]
        if self.folder or last in ("", ".", "..", "~") or not alone:
            return [within]
        itself = below(folder, rest) if rest else Text(plain(said), folder.whole)
        dot = last.rpartition(".")[2] if "." in last else ""
        renamed = last == first or (dot and not rest and first.endswith(f".{dot}"))
        return [itself, within] if renamed else [within, itself]

    def _down(self, name: str) -> list[Text]:
        return [found for path in self.paths if (found := self._from(path, name)) is not None]

    def _from(self, path: Text, name: str) -> Text | None:
        """What a name is where it comes from this path; None where it cannot."""
        said = path.said
        if not path.whole or path.many:
            return Text(plain_folder(said), whole=False)
        if self.relative:
            base, cut, _ = said.rpartition("/./")
            if not cut and said.startswith("~"):
                return ANYWHERE  # names are of where the home folder really is
            return below(Text(base or ("/" if said.startswith("/") else "~")), name)
        last = said.rpartition("/")[2]
        if last in ("", ".", "..") or said == "~":
            return below(path, name)
        if name == "." or last == name.partition("/")[0]:
            return below(Text(said[: -len(last)]), last if name == "." else name)
        return None


# --- paths --------------------------------------------------------------------------------------


def plain(path: str) -> str:
    """From the home folder where it is not absolute, with ``.`` and ``..`` taken out."""
    if not path.startswith(("/", "~")):
        path = f"~/{path}"
    root, _, rest = path.partition("/")
    parts: list[str] = []
    for part in rest.split("/"):
        if part == "..":
            if not parts and root:
                return ".."  # out of the home folder: nobody knows where
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join((root, *parts)) if parts else root or "/"


def plain_folder(beginning: str) -> str:
    """The same for a path of which only the beginning is known."""
    folder, slash, rest = beginning.rpartition("/")
    if not slash:
        return f"~/{rest}"
    said = plain(folder + "/")
    return "" if said == ".." or rest.startswith("..") else said.rstrip("/") + "/" + rest


def below(folder: Text, name: str) -> Text:
    if not folder.whole:
        return Text(plain_folder(folder.said), whole=False)
    said = plain(f"{folder.said}/{name}" if folder.said else name)
    return Text("", whole=False) if said == ".." else Text(said)
