"""What shells' texts are read as: a table of commands, and of what attackers write."""

from __future__ import annotations

import pytest

from hoopcore.shell import LARGEST, read
from hoopcore.statement import Effect, Reading


def ran(text: str, *, bash: bool = True) -> list[str] | str:
    """Families in order of first sight, or why it cannot be read."""
    reading = read(text.encode(), bash=bash)
    (statement,) = reading.statements
    assert statement.shell is not None
    if reading.why:
        assert Effect.UNKNOWN in statement.effects
        return reading.why
    return list(dict.fromkeys(one.family for one in statement.shell.commands))


def files(text: str) -> set[str]:
    reading = read(text.encode(), bash=True)
    (statement,) = reading.statements
    assert statement.shell is not None
    assert not reading.why, reading.why
    return {one.said + ("" if one.whole else "…") for one in statement.shell.files}


def is_unread(reading: Reading) -> bool:
    return bool(reading.why)


# What is read alike by every shell, and the programs that run.
PLAIN = [
    ("ls", "ls"),
    ("ls -l; rm x", "ls rm"),
    ("ls && rm x || cp a b", "ls rm cp"),
    ("ls | grep x | wc -l", "ls grep wc"),
    ("ls & rm x", "ls rm"),
    ("ls\nrm x", "ls rm"),
    ("ls # rm x", "ls"),
    ("echo a#b; rm x", "echo rm"),
    ("! rm x", "rm"),
    ("(rm x)", "rm"),
    ("{ rm x; }", "rm"),
    ("{ rm x; } > out", "rm tee"),
    ("rm>x y", "tee rm"),
    (">x rm y", "tee rm"),
    ("2>x rm y", "tee rm"),
    ("rm x 2>/dev/null", "rm"),
    ("rm x >&2", "rm"),
    ("rm x 2>&1 | cat", "rm cat"),
    ("a=1 rm x", "rm"),
    ("a=$(rm x)", "rm"),
    ("a='rm x'; ls", "ls"),
    ("if rm x; then ls; elif cp a b; then id; else pwd; fi", "rm ls cp id pwd"),
    ("while rm x; do ls; done", "rm ls"),
    ("until rm x; do ls; done < f", "rm ls"),
    ("for i in a b; do rm \"$i\"; done", "rm"),
    ("for i in $(rm x); do ls; done", "rm ls"),
    ("for i in a #; do rm x\ndo ls; done", "ls"),
    ("xargs", "xargs echo"),
    ("for i\nin a b\ndo rm x\ndone", "rm"),
    ("case $x in a|b) rm x;; (*) ls ;; esac", "rm ls"),
    ("case x in a) rm x; esac", "rm"),
    ("echo if; rm x", "echo rm"),
    ("if=1; rm x", "rm"),
    ("f() { rm x; }; f", "rm f"),
    ("f() (rm x)\nf", "rm f"),
    ("[ -f x ] && rm x", "[ rm"),
    ("test -f x && rm x", "test rm"),
    # quotes
    ("r''m x", "rm"),
    ('r""m x', "rm"),
    ("'rm' x", "rm"),
    ('"r"m x', "rm"),
    ("\\rm x", "rm"),
    ("r\\m x", "rm"),
    ("r\\\nm x", "rm"),
    ("rm \\\n x", "rm"),
    ("echo 'a'\\''b'; rm x", "echo rm"),
    ("echo \"a\\\"b\"; rm x", "echo rm"),
    ("echo '#'; rm x", "echo rm"),
    ("echo \"#\"#; rm x", "echo rm"),
    ("echo a\\ b; rm x", "echo rm"),
    ("echo a\\\n; rm x", "echo rm"),
    # substitutions
    ("echo $(rm x)", "rm echo"),
    ("echo \"$(rm x)\"", "rm echo"),
    ("echo `rm x`", "rm echo"),
    ("echo `echo \\`rm x\\``", "rm echo"),
    ("echo \"`rm x`\"", "rm echo"),
    ("echo $(echo $(rm x))", "rm echo"),
    ("echo ${a:-$(rm x)}", "rm echo"),
    ("echo \"${a:-$(rm x)}\"", "rm echo"),
    ("echo ${a%x}", "echo"),
    ("echo $((1 + 2 * 3))", "echo"),
    ("i=0; while [ \"$i\" -lt 9 ]; do i=$((i+1)); done", "[ "),
    ("cat <<E\n$(rm x)\nE", "rm cat"),
    ("cat <<'E'\n$(rm x)\nE", "cat"),
    ("cat <<E | rm y\nE", "cat rm"),
    ("cat <<-E\n\tx\n\tE\nrm x", "cat rm"),
    ("cat <<E\nE \nE\nrm x", "cat rm"),
    ("cat <<A <<B\nB\nA\nA\nB\nrm x", "cat rm"),
    # paths
    ("/bin/rm x", "rm"),
    ("/bin/../bin/rm x", "rm"),
    ("/bin//./rm x", "rm"),
    ("~/bin/rm x", "rm"),
    ("./rm x", "rm"),
    # runners
    ("sudo rm x", "sudo rm"),
    ("sudo -n -u root -- rm x", "sudo rm"),
    ("sudo -nu root rm x", "sudo rm"),
    ("sudo -uroot A=1 rm x", "sudo rm"),
    ("sudo --user=root rm x", "sudo rm"),
    ("doas -u root rm x", "doas rm"),
    ("env rm x", "env rm"),
    ("env -i A=1 B=2 rm x", "env rm"),
    ("env - rm x", "env rm"),
    ("nohup rm x", "nohup rm"),
    ("timeout -k 5 10 rm x", "timeout rm"),
    ("nice -n 19 rm x", "nice rm"),
    ("nice -19 rm x", "nice rm"),
    ("ionice -c3 rm x", "ionice rm"),
    ("setsid rm x", "setsid rm"),
    ("stdbuf -oL rm x", "stdbuf rm"),
    ("time rm x", "time rm"),
    ("time -p rm x", "time rm"),
    ("exec rm x", "exec rm"),
    ("command rm x", "command rm"),
    ("command -p rm x", "command rm"),
    ("command -v rm", "command"),
    ("builtin echo x", "builtin echo"),
    ("busybox rm x", "busybox rm"),
    ("chroot /mnt rm x", "chroot rm"),
    ("xargs rm", "xargs rm"),
    ("ls | xargs -0 -n1 rm -f", "ls xargs rm"),
    ("xargs -I{} rm {}", "xargs rm"),
    ("flock /tmp/l rm x", "flock rm"),
    ("flock /tmp/l -c 'rm x'", "flock rm"),
    ("watch -n1 rm x", "watch rm"),
    ("sh -c 'rm x'", "sh rm"),
    ("sh -ec 'rm x'", "sh rm"),
    ("bash -o errexit -c 'rm x'", "bash rm"),
    ("sh -c 'sh -c \"rm x\"'", "sh rm"),
    ("sh -c \"sh -c 'rm x'\"", "sh rm"),
    ("sh x.sh a", "sh x.sh"),
    ("python3 x.py", "python3 x.py"),
    ("python3 -m json.tool f", "python3 json.tool"),
    ("python3 --version", "python3"),
    ("eval rm x", "eval rm"),
    ("eval 'rm x; ls'", "eval rm ls"),
    (". ./x.sh", ". x.sh"),
    ("trap 'rm x' EXIT", "trap rm"),
    ("su -c 'rm x' bob", "su rm"),
    ("su - bob -c 'rm x'", "su rm"),
    ("ssh host rm x", "ssh rm"),
    ("ssh -p 22 -o BatchMode=yes host 'rm x; ls'", "ssh rm ls"),
    ("find / -name x -exec rm {} \\;", "find rm"),
    ("find / -execdir sh -c 'rm x' \\; -exec ls {} +", "find sh rm ls"),
    ("find / -delete", "find rm"),
    ("sudo find / -exec rm {} +", "sudo find rm"),
    ("sudo env timeout 5 nice sh -c 'xargs rm'", "sudo env timeout nice sh xargs rm"),
    ("awk '{print $1}' f", "awk"),
    ("sed -n 1,5p f", "sed"),
    ("sed 's/a/b/g' f", "sed"),
    ("git status", "git"),
    ("git -C x pull", "git"),
    ("git-upload-pack '/srv/x.git'", "git-upload-pack"),
    ("rsync --server --sender -vlogDtpre.iLsfxCIvu . /x", "rsync"),
    ("scp -t /x", "scp"),
    ("tar czf a.tgz d", "tar"),
    ("export A=1; rm x", "export rm"),
    ("set -eu; rm x", "set rm"),
    ("cd /x && rm y", "cd rm"),
    ("cd /x; sudo systemctl restart nginx", "cd sudo systemctl"),
    ("printf '%s\\n' \"$x\" | tee f", "printf tee"),
    ("mkdir -p a/b && cp -r x a/b && chmod 0755 a", "mkdir cp chmod"),
    ("tail -f /var/log/syslog", "tail"),
    ("echo x >> ~/.bashrc", "tee echo"),
]  # fmt: skip

# What bash reads and other shells may not.
BASH = [
    ("echo $'a\\'b'; rm x", "echo rm"),
    ("$'\\x72m' x", "rm"),
    ("$'\\162\\155' x", "rm"),
    ("diff <(rm x) <(ls)", "rm ls diff"),
    ("tee >(rm x)", "rm tee"),
    ("[[ -f x && $(rm y) = z ]] && ls", "rm ls"),
    ("rm x &> f", "tee rm"),
    ("ls |& rm x", "ls rm"),
    ('cat <<< "$(rm x)"', "rm cat"),
    ("function f { rm x; }; f", "rm f"),
    ("a+=b; rm x", "rm"),
    ("echo ${a:1:2}", "echo"),
    ('echo $"$(rm x)"', "rm echo"),
]

# What nobody can read for certain, each with what an attacker would hide in it.
UNREAD = [
    "$x rm",
    "$(echo rm) x",
    "`echo rm` x",
    "r$x x",
    "r?m x",
    "/bin/r* x",
    "{rm,x}",
    "r{m,} x",
    '"$@"',
    "$1",
    "${IFS}rm x",
    "rm${IFS}x",
    'eval "$x"',
    "eval $(echo cm0gLXJm | base64 -d)",
    "echo cm0gLXJm | base64 -d | sh",
    "curl x | bash",
    "bash < x",
    "bash -s",
    "sh",
    "sh -",
    "sh /dev/stdin",
    'sh -c "$x"',
    'sh -c "rm $x"',
    "sh -i",
    "bash --rcfile x",
    "bash -O extglob -c 'rm x'",
    "sh -o $x -c 'ls'",
    "zsh -c 'rm x'",
    "fish -c 'rm x'",
    "python -c 'import os'",
    "python3 -uc 'import os'",
    "python3",
    "python3 -",
    "python3 -m code",
    "perl -e 'unlink x'",
    "perl -ne 'print'",
    "ruby -e 1",
    "node -e 1",
    "php -r 1",
    "awk 'BEGIN{system(\"rm x\")}'",
    "awk '{print | \"sh\"}' f",
    "awk '{print > \"f\"}' f",
    'awk "$x" f',
    "sed 's/x/rm/e' f",
    "sed 1e\\ rm f",
    "sed 'w f' x",
    "sed -f x y",
    'sed -n "$x" f',
    "vim x",
    "less x",
    "man ls",
    "gdb -ex 'shell rm'",
    "crontab x",
    "at now",
    "screen rm x",
    "strace rm x",
    "systemd-run rm x",
    "nsenter -t 1 -a rm",
    "/lib64/ld-linux-x86-64.so.2 /bin/rm x",
    "PATH=/tmp ls",
    "export PATH=/tmp; ls",
    "declare PATH=/tmp",
    "read PATH",
    "for PATH in /tmp; do ls; done",
    "env PATH=/tmp ls",
    "sudo PATH=/tmp ls",
    "env -u PATH ls",
    "env -S 'rm x'",
    "LD_PRELOAD=x ls",
    "BASH_ENV=x bash y",
    "IFS=x",
    ": ${PATH:=/tmp}",
    "GIT_SSH_COMMAND=x git fetch",
    "git -c core.pager=x log",
    "git -calias.x='!rm' x",
    "git x",
    "git submodule foreach rm",
    "git rebase --exec rm",
    "git fetch ext::rm",
    "git grep -Orm x",
    "git --exec-path=x status",
    "tar cf a --to-command=rm x",
    "tar cf a --checkpoint-action=exec=rm x",
    "tar cf a *",
    "tar -I rm -cf a x",
    "tar xIf rm x",
    "rsync -e rm a b",
    "rsync --rsync-path=rm a b",
    "scp -S rm a b",
    "scp -oProxyCommand=rm a b",
    "ssh -o ProxyCommand=rm host ls",
    "ssh host",
    'ssh host "$x"',
    "ssh -F x host ls",
    "su",
    "su bob",
    "su -s /tmp/x -c ls",
    "sudo -s",
    "sudo -i",
    "sudo --foo rm",
    "sudo $x rm",
    'sudo "$x" rm',
    "sudo -u $x rm",
    "timeout $x rm",
    "xargs sh",
    "xargs -I% % x",
    "find . $x",
    "find . *",
    "find . -exec {} \\;",
    'find . -exec "$x" \\;',
    "find . -exec rm",
    "chroot /mnt",
    "busybox $x",
    "busybox sh",
    "alias ls=rm; ls",
    "hash -p /tmp/x ls",
    "enable -f x y",
    "shopt -s extglob",
    "set -k; ls PATH=x",
    "set $x",
    'trap "$x" EXIT',
    ". <(echo rm)",
    ". /dev/stdin",
    "echo $((a[$(rm x)]))",
    "x='a[$(rm y)]'; echo $((x))",
    "echo $((x))",
    "x=1; read x; echo $((x))",
    "x=1; x=$(ls); echo $((x))",
    "echo ${a[$(rm x)]}",
    "echo ${!x}",
    "echo ${x@P}",
    "[ -v 'a[$(rm x)]' ]",
    "[ $x = y ]",
    "test -v a",
    "[[ x -eq y ]]",
    "[[ -v x ]]",
    "printf -v x y",
    'printf "$x" y',
    "read 'a[$(rm x)]'",
    "unset 'a[$(rm x)]'",
    "let 'a[$(rm x)]'",
    "(( a[$(rm x)] ))",
    "declare -i x=y",
    "declare $x",
    "export A=$(rm x)",
    "a=(1 2)",
    "a[1]=2",
    "mapfile -C rm x",
    "coproc rm x",
    "select x in y; do rm x; done",
    "!(a)",
    "@(rm) x",
    "echo 'a",
    'echo "a',
    "echo `a",
    "echo $(a",
    "echo ${a",
    "echo \\",
    "rm x)",
    "(rm x",
    "if rm x; then",
    "rm x; fi",
    "ls;;rm x",
    "ls & & rm",
    "| rm",
    "cat <<E\nrm",
    "cat <<E",
    "cat <<E$x\nE",
    "cat <<E\na\\\nE\nE",
    "12>x rm",
    "{fd}>x rm y",
    "rm x >& $f",
    "ls &\\\n& rm x",
    "a\x00b",
    "a\x01b",
    "ls\r",
    "ls\u00a0x",
    "",
    " ",
    "\n",
    "f() rm x; f",
    "a-b() { rm x; }",
    "command $x",
    "exec $x",
    '"" x',
    "a=b=c $x",
    "nice $x",
    "eval -- rm x",
    "source -- rm",
    "time ! rm x",
    "time -p { rm",
    "read -aPATH",
    "jobs -x rm x",
    "x='a[$(rm y)]' bash -c 'false && x=1; echo $((x))'",
    "env x='a[$(rm y)]' bash -c 'false && x=1; echo $((x))'",
    "git init --template=x",
    "git fetch --upload=rm",
    "echo '\\! rm' | psql",
    "psql -c '\\! rm'",
    "mysql -e 'system rm'",
    "sftp host",
    "scp -t x; sh",
    "setarch x86_64 rm",
    "ldd x",
]

DIFFER = [
    "echo $'a\\'; rm x; #'",
    "ls &> f rm x",
    "[[ a && rm x ]]",
    "function f { rm x; }",
    "ls |& rm",
    "cat <<<x",
    "a+=b rm x",
    "diff <(ls) <(ls)",
    'echo $"x"',
]


@pytest.mark.parametrize(("text", "families"), PLAIN)
def test_every_shell_runs_what_is_read(text: str, families: str) -> None:
    for bash in (True, False):
        assert sorted(ran(text, bash=bash)) == sorted(families.split())


@pytest.mark.parametrize(("text", "families"), BASH)
def test_bash_runs_what_is_read(text: str, families: str) -> None:
    assert sorted(ran(text)) == sorted(families.split())
    assert isinstance(ran(text, bash=False), str)


@pytest.mark.parametrize("text", UNREAD)
def test_what_is_not_certain_is_unreadable(text: str) -> None:
    assert isinstance(ran(text), str)
    assert isinstance(ran(text, bash=False), str)


@pytest.mark.parametrize("text", DIFFER)
def test_what_shells_read_differently_is_unreadable_unless_it_is_bash(text: str) -> None:
    assert isinstance(ran(text, bash=False), str)


def test_long_and_deep_texts_are_unreadable_and_end_nothing() -> None:
    assert is_unread(read(b"#" * (LARGEST + 1)))
    assert is_unread(read(b"$(" * 5000))
    assert is_unread(read(b"(" * 5000))
    assert is_unread(read(b"if " * 5000))
    assert is_unread(read(b"sh -c '" * 2000))
    assert is_unread(read(b"ls;" * 3000))
    assert is_unread(read(b"\xff"))


@pytest.mark.parametrize(
    "text",
    [
        "watch " * 200 + "x" * 1000,
        "sh -c '" + "echo `ls` " * 800 + "'",
        "cd a;" * 8 + "ls " + "a=b:c@d " * 1500,
        "watch sh -c 'watch sh -c ls' " * 40,
        "$((" * 400,
        "${x:-" * 400,
        "`" * 900,
        "<<E " * 400,
        "case a in " * 300,
        "a" * 60_000,
        "'" + "\\" * 60_000,
        "find . " + "-exec find . " * 1000,
        "sudo " * 10_000,
        "{ " * 10_000,
        "a=" * 20_000,
        "[[ " + "a && " * 10_000,
    ],
)
@pytest.mark.timeout(60)  # some hundred milliseconds, on a machine at rest
def test_no_text_takes_long_to_read(text: str) -> None:
    assert read.__wrapped__(text.encode()[:LARGEST], bash=True).statements


def test_why_a_text_is_unreadable_says_nothing_of_it() -> None:
    for text in UNREAD:
        assert "rm" not in str(ran(text)).split()


def test_files_are_made_plain_in_every_folder_that_is_entered() -> None:
    assert files("cat /etc/../etc//passwd") == {"/etc/passwd"}
    assert files("cd /etc && cat passwd") >= {"/etc/passwd"}
    assert files("cd /etc; cd ssh; cat x") >= {"/etc/ssh/x"}
    assert files('cat ~/x $HOME/y "$HOME"/z') == {"~/x", "~/y", "~/z"}
    assert "…" in files("cat ../../etc/passwd")
    assert "…" in files("cat $x")
    assert "…" in files("cd $x; cat y")
    assert files("cat /etc/pass*") == {"/etc/pass…"}
    assert "/etc/shadow" in files("dd if=/etc/shadow")
    assert "/etc/shadow" in files("grep -f/etc/shadow x")
    assert "/etc/shadow" in files("curl -d @/etc/shadow x")
    assert "/etc/shadow" in files("cat < /etc/shadow")
    assert "/etc/x" in files("ls > /etc/x")
    assert "/etc/passwd" in files("tar -C /etc -cf a passwd")
    assert files("echo /etc/shadow") == set()
    assert "…" in files("cat /proc/self/root/etc/shadow")
    assert "…" in files("find /etc -execdir cat shadow \\;")
    for text in ("cp -a /etc /tmp/x", "tar cf - /etc", "grep -r root /etc/", "mv /etc x"):
        assert "/etc/…" in files(text), text
    assert "/etc/…" not in files("ls /etc") | files("grep x /etc") | files("cd /etc")
    assert "/etc/shadow" in files('echo() { cat "$1"; }; echo /etc/shadow')
