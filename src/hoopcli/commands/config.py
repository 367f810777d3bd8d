"""``hoop config``: what stock ssh, psql and libpq must know to find what hoop opens.

Each prints what it would write; with --write it goes where the program looks, between two lines
that say whose it is, and --remove takes it away again.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from hoopcli import completion_values, screen
from hoopcli.client import connected
from hoopcli.errors import Exit, Failure, NotSignedIn, say, usage
from hoopcli.options import OutputOption
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def config() -> None:
    """Set up stock ssh, psql and other clients, so that they find what hoop opens.

    \b
    Examples:
      hoop config ssh --write
      hoop config pg-service --write
    """


_Write = Annotated[bool, typer.Option("--write", help="Put it where it is looked for.")]
_Remove = Annotated[bool, typer.Option("--remove", help="Take it away again.")]


@app.command("ssh")
def ssh(
    write: _Write = False,
    remove: _Remove = False,
    own_agent: Annotated[
        bool, typer.Option("--own-agent", help="Use hoop's ssh-agent, even if you have one.")
    ] = False,
    prefix: Annotated[
        str, typer.Option(help="What the names of SSH targets begin with here.", metavar="TEXT")
    ] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """What ssh_config needs, so that ssh, scp, sftp, rsync and git know your SSH targets.

    Each has its own name, but where your settings speak of that name already. Agents have names
    too, for ssh -L to a database. Write it again when there are other targets for you.

    Your sign-in is the key: it is in your ssh-agent while its certificate holds, or in one of
    hoop's own where you have none, and it is renewed before each connection.

    \b
    Examples:
      hoop config ssh
      hoop config ssh --write
      ssh prod-web
      ssh -N -L 15432:prod-db:5432 hoop-eu
    """
    from hoopcli import profile, ssh_names, stock_ssh

    _one_of(write, remove)
    if remove:
        say("Taken away." if stock_ssh.remove() else "There was nothing of hoop's.")
        return
    names = profile.agents()
    if not names:
        raise NotSignedIn
    hosts = stock_ssh.hosts(names, own_agent=own_agent or not stock_ssh.has_agent())
    found = ssh_names.named(hosts, _listed(names), prefix)
    hosts = found.hosts
    for name, why in found.without:
        say(f"hoop: {name} gets no name here: {why}.")
    if any("speaks of it" in why for _, why in found.without):
        say("      For other names:  --prefix hoop-")
    if output is not Output.TABLE and not write:
        values = [asdict(host) for host in hosts]
        screen.show(output, values, heads=(), row=_none, name=_alias, empty="")
    elif not write:
        screen.out(stock_ssh.block(hosts).rstrip("\n"))
        say(f"# known_hosts:\n{stock_ssh.known_hosts(hosts)}# To put it in place:  --write")
    else:
        ours, theirs = stock_ssh.write(hosts)
        say(f"Wrote {ours}, and a line in {theirs} that includes it.")
        for host in hosts:
            for typed, _ in host.targets[:_SHOWN]:
                say(f"Try:  ssh {typed}")
            if len(host.targets) > _SHOWN:
                say(f"      and {len(host.targets) - _SHOWN} more, which are in {ours}")
            say(f"Try:  ssh -N -L 15432:TARGET:5432 {host.alias}")


# Names of targets that are shown, of each agent.
_SHOWN = 3


def _listed(names: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """The targets of all agents, each with what its agent is called."""
    from hoopcli import profile

    with connected() as several:
        alone = next(iter(profile.nicks(names).values()))
        return [(str(one.get("agent", alone)), one) for _, one in several.targets()]


@app.command("ssh-ready", hidden=True)
def ssh_ready(
    nick: Annotated[str, typer.Argument(help="Which agent.", metavar="AGENT")],
    own_agent: Annotated[bool, typer.Option("--own-agent", help="For hoop's ssh-agent.")] = False,
) -> None:
    """Has the key ready for stock ssh; the block of hoop config ssh asks for it.

    \b
    Example:
      hoop config ssh-ready eu
    """
    from hoopcli import profile, stock_ssh

    stock_ssh.ready(profile.named(nick), own_agent=own_agent)


_Targets = Annotated[
    list[str] | None,
    typer.Argument(
        help="Which; if none is named, all you can reach, up to 20.",
        metavar="TARGET...",
        show_default=False,
        autocompletion=completion_values.targets,
    ),
]


@app.command("pg-service")
def pg_service(
    targets: _Targets = None,
    write: _Write = False,
    remove: _Remove = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """A service for each target, so that psql service=TARGET works, in every program on libpq.

    Opens the addresses as hoop connect -d does. They are in ~/.pg_service.conf, or the file that
    PGSERVICEFILE names; their passwords, which only TCP needs, in ~/.pgpass or PGPASSFILE.

    \b
    Examples:
      hoop config pg-service --write
      psql service=prod-db
    """
    from hoopcli import pg_service as service

    _one_of(write, remove)
    if remove:
        changed = service.remove()
        say(f"Taken out of {_paths(changed)}." if changed else "There was nothing of hoop's.")
        return
    tunnels = _opened(targets or [])
    names = service.names(tunnels, service.others())
    if output is not Output.TABLE and not write:
        bare = [
            {"service": name} | {key: value for key, value in one.items() if key != "password"}
            for name, one in zip(names, tunnels, strict=True)
        ]
        screen.show(output, bare, heads=(), row=_none, name=_service, empty="")
    elif not write:
        screen.out(service.services(tunnels, names).rstrip("\n"))
        say("To put it in place, with the passwords:  --write")
    else:
        changed = service.write(tunnels, names)
        say(f"Wrote {_paths(changed)}." if changed else "Nothing changed.")
        for name in names:
            say(f"Try:  psql service={clean(name)}")


# Targets that get a service without having been named.
_MOST = 20


def _opened(targets: list[str]) -> list[dict[str, Any]]:
    """The address of each target that is wanted, open from now on."""
    from hoopcli import opening

    with connected() as several:
        seen = several.targets()
        for name in targets:
            if not any(_is(one, name) for _, one in seen):
                raise Failure(f'there is no target "{clean(name)}"', "hoop targets")
        wanted = [
            (client, one)
            for client, one in seen
            if not targets or any(_is(one, n) for n in targets)
        ]
        if not wanted:
            raise Failure("there is no target you may see")
        if not targets and len(wanted) > _MOST:
            said = f"you may see {len(wanted)} targets, and each takes a port of this machine"
            raise Failure(said, "Name those you use:  hoop config pg-service TARGET...", Exit.USAGE)
        return [opening.address(client, one) for client, one in wanted]


def _is(target: dict[str, Any], name: str) -> bool:
    return name in (target["name"], f"{target.get('agent', '')}/{target['name']}")


def _none(_: Any) -> tuple[object, ...]:
    """A file's text takes the place of a table."""
    return ()


def _alias(host: Any) -> str:
    return str(host["alias"])


def _service(one: Any) -> str:
    return str(one["service"])


def _one_of(write: bool, remove: bool) -> None:
    if write and remove:
        usage("--write and --remove do not go together")


def _paths(paths: Any) -> str:
    return " and ".join(str(path) for path in paths)
