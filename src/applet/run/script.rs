//! The script that runs the command in the guest.
//!
//! The command gets pipes, not the ports: a port can be opened only once, so that
//! `echo x >/dev/stderr` would fail. The links and mounts in /dev are those that udev and systemd
//! make: no init of the root has been started. A process that the command leaves behind and that
//! keeps a pipe open is killed after ten seconds. What is in the pipes is read to its end.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What any command needs.
const HEAD: &str = "\
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
";
/// What joins the streams of the command to the ports.
const STREAMS: &str = "\
dir=/run/coldplug/run
mkdir -p $dir && mkfifo $dir/out $dir/err || exit 125
cat $dir/out >/dev/vport0p2 & out=$!
cat $dir/err >/dev/vport0p3 & err=$!
(
";
const TAIL: &str = "
) </dev/vport0p1 >$dir/out 2>$dir/err
status=$?
(sleep 10
for file in /proc/[0-9]*/fd/*; do
	case $(readlink $file) in $dir/out | $dir/err)
		process=${file#/proc/} process=${process%%/*}
		[ $process = $out ] || [ $process = $err ] || kill -9 $process
	esac
done) >/dev/null 2>&1 &
wait $out $err
exit $status
";
/// The end of a script that gives a shell a terminal: its session must own it.
const SHELL: &str = r#"
[ -x "$SHELL" ] || SHELL=/bin/sh
[ -x /bin/bash ] && SHELL=/bin/bash
exec setsid -c "$SHELL" -l <>/dev/CONSOLE >&0 2>&0
"#;
/// Variables of this process that the command gets too.
const VARIABLES: [&str; 4] = ["TERM", "LANG", "LC_ALL", "COLORTERM"];

/// Returns a script that runs `command` in `directory`, with the streams of the ports.
pub(super) fn script(command: &[OsString], directory: &Path) -> Vec<u8> {
    let mut script = start(STREAMS, directory);
    script.extend(b"exec");
    for word in command {
        script.push(b' ');
        script.extend(quoted(word));
    }
    script.extend(TAIL.as_bytes());
    script
}

/// Returns a script that runs a shell in `directory`, on the terminal `console` of the size of ours.
pub(super) fn shell_script(console: &str, size: Option<(u16, u16)>, directory: &Path) -> Vec<u8> {
    let mut script = start("", directory);
    if let Some((rows, columns)) = size {
        let line = format!("stty rows {rows} columns {columns} </dev/{console}\n");
        script.extend(line.as_bytes());
    }
    script.extend(SHELL.replace("CONSOLE", console).as_bytes());
    script
}

/// Returns the start of a script, up to the change of the directory.
fn start(streams: &str, directory: &Path) -> Vec<u8> {
    let mut script = [HEAD, streams].concat().into_bytes();
    for name in VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            script.extend([b"export ", name.as_bytes(), b"=", &quoted(&value), b"\n"].concat());
        }
    }
    script.extend([b"cd ", &*quoted(directory.as_os_str()), b" || exit 125\n"].concat());
    script
}

/// Returns a word of a shell that stands for `text`.
fn quoted(text: &OsStr) -> Vec<u8> {
    let mut word = vec![b'\''];
    for byte in text.as_bytes() {
        match byte {
            b'\'' => word.extend(b"'\\''"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn words_are_quoted() {
        for text in ["", "a b", "it's", "$HOME `id` \\ \"x\"", "\n*", "\u{e4}'"] {
            let word = quoted(OsStr::new(text));
            let line = [b"printf %s ", &*word].concat();
            let output = Command::new("sh").arg("-c").arg(OsStr::from_bytes(&line)).output();
            assert_eq!(output.unwrap().stdout, text.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn a_command_is_the_last_of_its_subshell() {
        let text = script(&["echo".into(), "a b".into()], Path::new("/x y"));
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains("\ncd '/x y' || exit 125\nexec 'echo' 'a b'\n) </dev/vport0p1 "),
            "{text}"
        );
    }

    #[test]
    fn a_shell_has_the_size_of_our_terminal() {
        let text = |size| String::from_utf8(shell_script("ttyS0", size, Path::new("/"))).unwrap();
        assert!(text(Some((24, 80))).contains("\nstty rows 24 columns 80 </dev/ttyS0\n"));
        assert!(!text(None).contains("stty") && !text(None).contains("vport"));
        assert!(text(None).contains("exec setsid -c \"$SHELL\" -l <>/dev/ttyS0 "));
    }
}
