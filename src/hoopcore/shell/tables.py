"""Programs that run other programs: how their own words end and the other's begin.

What is not in these tables is taken for a program that runs nothing else.  That is true of no
program for certain; it is true enough of those that nobody uses to run others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Options before the command that a program runs; any other one is not read."""

    flags: str = ""
    valued: str = ""
    long: frozenset[str] = frozenset()
    long_valued: frozenset[str] = frozenset()
    operands: int = 0  # of its own, before the command
    sets: bool = False  # variables may be set before the command
    or_shell: bool = False  # without a command it runs a shell


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RUNNERS = {
    "sudo": Options("AbBEHknNPSvKl", "CDghpRrtTuU", _words("preserve-env non-interactive login"),
                    _words("user group host prompt chdir"), sets=True),
    "doas": Options("nL", "u"),
    "env": Options("i0v", "uC", _words("ignore-environment null debug"), _words("unset chdir"),
                   sets=True),
    "nohup": Options(),
    "setsid": Options("cfw", "", _words("ctty fork wait")),
    "nice": Options("0123456789", "n", frozenset(), _words("adjustment")),
    "ionice": Options("t", "cn", _words("ignore"), _words("class classdata")),
    "stdbuf": Options("", "ioe", frozenset(), _words("input output error")),
    "time": Options("pva", "fo", _words("portability verbose append"), _words("format output")),
    "timeout": Options("v", "ks", _words("foreground preserve-status verbose"),
                       _words("kill-after signal"), operands=1),
    "exec": Options("cl", "a"),
    "command": Options("p"),
    "builtin": Options(),
    "busybox": Options(),
    "toybox": Options(),
    "chroot": Options("", "", _words("skip-chdir"), _words("userspec groups"), operands=1,
                      or_shell=True),
    "taskset": Options("a", "", _words("all-tasks"), operands=1),
    "xargs": Options("0rtpxo", "adEILnPs",
                     _words("null no-run-if-empty verbose interactive exit open-tty"),
                     _words("arg-file delimiter max-lines max-args max-procs max-chars")),
    "flock": Options("sxeunoFv", "wE",
                     _words("shared exclusive unlock nonblock close no-fork verbose"),
                     _words("wait timeout conflict-exit-code"), operands=1),
    "watch": Options("bcdegptwx", "nq",
                     _words("beep color differences errexit chgexit no-title precise exec"),
                     _words("interval equexit")),
    "ssh": Options("46AaCfGgKkMNnqTtVvXxYy", "BbcDEeiJLlmOopQRWw", operands=1),
}  # fmt: skip

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "ksh93", "mksh", "rbash"})
SHELL_FLAGS = "aefhmnuvxlCB"
SHELL_LONG = frozenset({"--norc", "--noprofile", "--posix", "--login", "--verbose"})

# They run others in ways that are not read: by keys, by files, by code of their own.
UNREAD = _words(
    """zsh fish csh tcsh pwsh nu elvish xonsh
    crontab at batch gdb lldb expect unbuffer script screen tmux byobu strace ltrace valgrind perf
    unshare nsenter setpriv capsh systemd-run start-stop-daemon daemonize numactl chrt prlimit
    firejail bwrap proot fakeroot faketime rlwrap socat nc ncat netcat telnet parallel sem entr
    watchexec vi vim nvim view vimdiff rvim ex ed emacs nano pico joe micro mc less more most pg man
    info ftp lftp mail mutt elinks lynx w3m catchsegv run-parts ssh-agent sg newgrp sudoedit visudo
    vipw dbus-run-session xvfb-run xterm hash enable shopt bind complete compgen fc let coproc
    mapfile readarray logrotate gdbserver debugfs find2perl jshell irb iex ghci scala sbt dc bc
    runuser pkexec machinectl sftp nmap mongo mongosh sqlplus redis-cli sqlite3 m4 gnuplot octave R
    ocaml swipl erl elixir racket gs latex pdflatex xelatex lualatex tex setarch linux32 linux64
    i386 x86_64 uname26 choom uclampset cgexec trickle torsocks torify proxychains proxychains4
    tsocks eatmydata ldd runcon chpst setuidgid softlimit gosu su-exec tini dumb-init aa-exec
    rush pexec tsp
    ifne chronic mispipe pee vidir fzf hyperfine rr daemon incrontab cpulimit run-one ssh-copy-id
    rxvt konsole emacsclient kak hx nvi elvis jed ne mcedit gpg-agent dbus-launch svc kexec
    insmod modprobe at-spi-bus-launcher openvt setterm agetty getty login telnetd"""
)

# Words of the shell itself: no program is called so.
SHELL_WORDS = _words(
    """! { } [[ ]] if then elif else fi while until for do done case esac in function select
    coproc"""
)

# What goes down into folders, always or with an option; or gives a folder another name, under
# which nobody knows it again.
RECURSIVE = _words(
    """tar find rsync zip 7z 7za mv cpio pax tree du rg ag ack restic borg fd fdfind docker podman
    kubectl shred ln mount bindfs mergerfs pivot_root chroot"""
)
RECURSIVE_WITH = _words(
    "cp scp grep egrep fgrep zgrep ls diff chmod chown chgrp rm setfacl getfacl chcon restorecon"
)
RECURSIVE_OPTION = re.compile(r"-[A-Za-z]*[rRad]|--(r|a|d)")

# Words with which files are named elsewhere than in the text: in a list, below another root.
NAMED_ELSEWHERE = {
    "tar": re.compile(r"-[A-Za-z]*T.*|--fi.*|(?!.*[/.])[A-Za-z]*T[A-Za-z]*"),
    "cpio": re.compile(r".*", re.DOTALL),
    "pax": re.compile(r".*", re.DOTALL),
    "zip": re.compile(r"-@|-.*@.*|-"),
    "7z": re.compile(r"@.*|-i.*@.*"),
    "7za": re.compile(r"@.*|-i.*@.*"),
    "wc": re.compile(r"--f.*"),
    "sort": re.compile(r"--f.*"),
    "du": re.compile(r"--f.*"),
    "rsync": re.compile(r"--fi.*|--in.*|--ex.*|-[A-Za-z0-9]*f.*"),
    "file": re.compile(r"-[A-Za-z]*f.*|--f.*"),
    "sudo": re.compile(r"-[A-Za-z]*R.*|--chr.*"),
    "rg": re.compile(r"-f.*|--file.*|--pre.*"),
}

INTERPRETERS = re.compile(
    r"(python|pypy|perl|ruby|node|nodejs|php|lua|luajit|tclsh|wish|Rscript|deno|bun|groovy|guile)"
    r"[0-9.]*"
)
INTERPRETER_FLAGS = frozenset({"-u", "-B", "-I", "-s", "-S", "-E", "-O", "-OO", "-w"})
INTERPRETER_SHOWS = frozenset({"-V", "-VV", "--version", "-h", "--help"})
CODE_MODULES = _words("code timeit pdb cProfile profile trace runpy doctest idlelib turtledemo")

# Options with which a program runs something else.  What is not whole may be one of them.
ESCAPES = {
    "tar": re.compile(
        r"--(to|u|ch|info|new|rs|rm|i|n).*|-[A-Za-z]*[IF].*|(?!.*[/.])[A-Za-z]*[IF][A-Za-z]*"
    ),
    "rsync": re.compile(r"--(rsh|rsync-path|e|r|daemon|config).*|-[A-Za-z]*e.*"),
    "scp": re.compile(r"-[A-Za-z0-9]*[SoFD].*"),
    "cpio": re.compile(r"--rs.*"),
    "zip": re.compile(r"-[A-Za-z]*T.*|--u.*|--t.*"),
    "sort": re.compile(r"--c.*"),
    "split": re.compile(r"--f.*"),
    "tcpdump": re.compile(r"-[A-Za-z]*[zF].*|--p.*"),
    "wget": re.compile(r"-[A-Za-z]*e.*|--(e|u|conf).*"),
    "curl": re.compile(r"-[A-Za-z]*K.*|--(config|K).*"),
    "make": re.compile(r"--e.*|-[A-Za-z]*[fEC].*|--(file|makefile).*|[A-Z_]+=.*"),
    "psql": re.compile(r".*[\\|].*", re.DOTALL),
    "mysql": re.compile(r".*(\\|system|pager|--pager).*", re.DOTALL | re.IGNORECASE),
    "git": re.compile(
        r"-c.*|--(conf|u|e|op|pag|tem|rec(?!u)|run).*|-p|-[uxO].*|alias.*|foreach|run|.*ext::.*"
    ),
    "ip": re.compile(r"exec|-b.*|netns"),
    "openssl": re.compile(r".*engine.*|-provider.*"),
    "dpkg": re.compile(r"--(pre|post|status-log).*|-o.*"),
    "apt": re.compile(r"-o.*|-c.*|--(option|config).*"),
    "apt-get": re.compile(r"-o.*|-c.*|--(option|config).*"),
    "systemctl": re.compile(r"edit|-H.*|--host.*|-M.*|--machine.*"),
}  # fmt: skip

GIT_COMMANDS = _words(
    """status log diff show fetch pull push clone checkout branch tag ls-remote ls-files ls-tree
    rev-parse describe remote add commit merge reset stash init worktree clean restore switch blame
    cat-file rev-list gc fsck upload-pack receive-pack upload-archive version mv rm cherry-pick
    revert shortlog symbolic-ref for-each-ref show-ref update-index diff-tree merge-base
    --version"""
)

# A variable that changes which program a name means, or makes programs run others.
DANGEROUS = re.compile(
    r"(PATH|HOME|IFS|ENV|SHELL|SHELLOPTS|BASHOPTS|BASH_\w*|PS[0-4]|PROMPT_COMMAND|CDPATH|GLOBIGNORE"
    r"|EXECIGNORE|LD_\w*|DYLD_\w*|GCONV_PATH|LOCPATH|NLSPATH|MALLOC_\w*|GLIBC_\w*"
    r"|PERL\w*|PYTHON\w*|RUBY\w*|GEM_\w*|NODE_\w*|NPM_\w*|npm_\w*|PHP\w*|LUA\w*|JAVA\w*|_JAVA\w*"
    r"|JDK_\w*|CLASSPATH|GIT_\w*|SSH_\w*|RSYNC_\w*|TAR_OPTIONS|CVS_RSH|SUDO_\w*|PAGER|MANPAGER|\w*PAGER"
    r"|EDITOR|VISUAL|\w*_EDITOR|BROWSER|LESS\w*|MORE|MAKE\w*|AWKPATH|AWKLIBPATH|OPENSSL_\w*|CURL_\w*"
    r"|WGETRC|SYSTEMD_\w*|VIMINIT|EXINIT|INPUTRC|HIST\w*|FCEDIT|TERMINFO\w*|TERMCAP|XDG_\w*|PG\w*"
    r"|MYSQL\w*|DOCKER_\w*|KUBE\w*|http_proxy|https_proxy|ALL_PROXY|HTTPS?_PROXY|OPTIND|_)"
)

SSH_SETTINGS = re.compile(
    r"(stricthostkeychecking|userknownhostsfile|globalknownhostsfile|connecttimeout|batchmode|user"
    r"|port|hostname|identityfile|identitiesonly|serveralive\w+|loglevel|compression|ciphers|macs"
    r"|kexalgorithms|hostkeyalgorithms|pubkeyauthentication|passwordauthentication|addressfamily"
    r"|preferredauthentications|requesttty|forwardagent|hostkeyalias|connectionattempts)[= ].*",
    re.IGNORECASE,
)

SET_OPTIONS = re.compile(
    r"[-+][efuxvCanb]+|[-+]o|errexit|nounset|pipefail|xtrace|verbose|noglob|noclobber|noexec"
)

# What they do stays within the shell, so no grant has to name them.
HARMLESS = _words(
    """: true false cd pwd echo printf test [ exit return export readonly local declare typeset set
    unset shift wait umask type times break continue read getopts jobs trap eval exec command
    builtin"""
)

# Their words are no files, for all they do with them.
NO_FILES = _words(
    """: true false echo printf exit return export readonly local declare typeset set unset shift
    read eval"""
)
