"""``hoop completion``: the scripts that let a shell ask hoop what may come next.

They know nothing of hoop's commands, and so need not be made anew with each version.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hoopcli import screen
from hoopcli.errors import usage

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(
    shell: Annotated[
        Shell | None, typer.Argument(help="By default the one in $SHELL.", metavar="SHELL")
    ] = None,
) -> None:
    """Print the completion script for bash, zsh or fish.

    \b
    Examples:
      in ~/.bashrc:                eval "$(hoop completion bash)"
      in ~/.zshrc, after compinit: eval "$(hoop completion zsh)"
      once, for fish:
        hoop completion fish > ~/.config/fish/completions/hoop.fish
    """
    screen.out(script(shell or _current()).rstrip("\n"))


def _current() -> Shell:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in list(Shell):
        usage("which shell do you mean?", "hoop completion bash   or zsh, or fish")
    return Shell(name)


def script(shell: Shell) -> str:
    """The script of one shell, the same at every call."""
    return _SCRIPTS[shell]


# bash breaks words at ":" and "=", and hoop has neither in a name or an id.  Words that are no
# offers of hoop's (the client's own arguments) fall back to names of files.
_BASH = r"""# bash completion for hoop; made by: hoop completion bash
_hoop() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        [[ -n $word ]] && COMPREPLY+=("${word%%$'\t'*}")
    done < <(command "${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _hoop hoop
"""

_ZSH = r"""#compdef hoop
# zsh completion for hoop; made by: hoop completion zsh
_hoop() {
    local line word
    local -a offers
    while IFS= read -r line; do
        [[ -n $line ]] || continue
        word=${line%%$'\t'*}
        if [[ $line == *$'\t'* ]]; then
            offers+=("${word//:/\\:}:${line#*$'\t'}")
        else
            offers+=("${word//:/\\:}")
        fi
    done < <(command ${words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#offers} )); then
        _describe -V 'hoop' offers
    else
        _files
    fi
}
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then
    _hoop "$@"
else
    compdef _hoop hoop
fi
"""

_FISH = r"""# fish completion for hoop; made by: hoop completion fish
function __hoop_complete
    set -l words (commandline -opc)
    set -e words[1]
    command hoop __complete $words (commandline -ct) 2>/dev/null
end
complete -c hoop -f -a '(__hoop_complete)'
"""

_SCRIPTS = {Shell.BASH: _BASH, Shell.ZSH: _ZSH, Shell.FISH: _FISH}
