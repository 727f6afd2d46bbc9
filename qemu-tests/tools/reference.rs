//! Manual pages under man and mandoc, and completions in bash, zsh and fish.

use super::image::module;
use harness::run::{Need, Test};
use harness::{paths, tests, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [] => manual_pages_name_every_command_and_option;
    [Need::Command("man", "man-db"), Need::Command("mandoc", "mandoc")] =>
    manual_pages_have_no_faults;
    [Need::Command("bash", "bash")] => bash_completes;
    [Need::Command("fish", "fish")] => fish_completes;
    [Need::Command("zsh", "zsh")] => zsh_completes;
    [Need::Command("zsh", "zsh"), Need::Command("bash", "bash")] => keys_complete_a_line_in_bash;
    [ROOT] => names_of_this_machine_are_completed;
];

/// Why a test mounts.
const ROOT: Need = Need::Root("it mounts modules on a directory of the system");

/// Returns the help of the program with these arguments.
fn help(words: &[&str]) -> String {
    tool::run(Command::new(env!("CARGO_BIN_EXE_coldplug")).arg("help").args(words))
}

/// Returns the names in the column of a list in a help.
fn names(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    // A line that goes on with the text of the one before begins with more spaces.
    let names = lines.filter(|line| !line.starts_with([' ', '-']));
    names.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Returns the long options in the help of a command.
fn options(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| line.trim_start().starts_with('-'));
    let words = lines.flat_map(|line| line.split([' ', ',']));
    let name = |word: &str| -> String {
        word.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
    };
    words.filter(|word| word.starts_with("--")).map(name).collect()
}

/// Returns the text of a manual page without its markup.
fn page(name: &str) -> String {
    let path = paths::checkout().join("initramfs/man").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    text.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace('\\', "")
}

fn manual_pages_name_every_command_and_option() {
    let overview = page("coldplug.8");
    for name in names(&help(&[])) {
        assert!(overview.contains(&format!("\n.TP\n{name}\n")), "coldplug.8 lacks {name}");
        if name == "list" {
            continue;
        }
        let text = help(&[&name]);
        let is_tool = text.starts_with("Usage:");
        let file = if is_tool { format!("{name}.8") } else { format!("coldplug-{name}.8") };
        let page = page(&file);
        let actions = text.split("\nActions:\n").nth(1).unwrap_or_default();
        let actions = names(actions.split("\n\n").next().unwrap_or_default());
        let of_actions = actions.iter().map(|action| help(&[&name, action]));
        for option in of_actions.chain([text.clone()]).flat_map(|text| options(&text)) {
            assert!(page.contains(&option), "{file} lacks {option}");
        }
    }
}

fn manual_pages_have_no_faults() {
    let pages = fs::read_dir(paths::checkout().join("initramfs/man")).unwrap();
    for page in pages.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let mut mandoc = tool::command("mandoc", "mandoc");
        assert_eq!(tool::run(mandoc.args(["-Tlint", "-W", "warning"]).arg(&page)), "");
        for locale in ["C", "C.UTF-8"] {
            let mut man = tool::command("man", "man-db");
            man.args(["--warnings", "-l"]).arg(&page);
            man.env("LC_ALL", locale).env("MANPAGER", "cat");
            let output = man.output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && errors.is_empty(), "{}: {errors}", page.display());
        }
    }
}

/// Command lines to complete, words that are among the completions, and words that are not.
const COMPLETED: [(&str, &str, &str); 26] = [
    ("coldplug ", "image plan modprobe report help", "assemble build --all"),
    ("coldplug im", "image", "plan"),
    ("coldplug help image ", "build update", "plan"),
    ("coldplug image ", "build cat diff extract list update remove", "plan"),
    ("coldplug image build --mod", "--modules --modules-as", "--kernel"),
    ("coldplug image build --modules-as ", "zstd plain stored", "none"),
    ("coldplug image build -q --compress ", "zstd lz4", "stored"),
    ("coldplug image build -qm @v", "@virtio", "@gpu"),
    ("coldplug image list -", "--names --sizes", "--kernel"),
    ("coldplug image list sub", "sub1 sub2", "other"),
    ("coldplug scan --root ", "dir", "sub1"),
    ("coldplug slot good --", "--env --slots --force", "--kernel"),
    ("coldplug settings ", "save restore show", "good"),
    ("coldplug monitor --action ", "add unbind", "zstd"),
    ("coldplug depmod --", "--all --basedir", "--modules-as"),
    ("coldplug modprobe --show", "--show-depends --show-alias", "--showconfig --all"),
    ("coldplug kmod static-nodes --format ", "human tmpfiles devname", "zstd"),
    ("modprobe --fo", "--force --force-vermagic", "--all"),
    // What a module file holds is not run.
    ("coldplug insmod evil.ko ", "param_a=", "pwned="),
    ("coldplug modprobe ./evil.ko p", "param_a=", "pwned="),
    ("coldplug run --me", "--memory", "--kernel"),
    ("coldplug run una", "uname", "sub1"),
    ("coldplug run -m 64 --fs=9p -- una", "uname", "sub1"),
    ("coldplug report sub", "sub1 sub2", "other"),
    ("coldplug report --fleet ", "dir", "sub1 other"),
    ("coldplug report --so", "--sort", "--fleet"),
];

/// Command lines with a command that has a completion of its own. In bash bash-completion finds it.
const NESTED: [(&str, &str, &str); 3] = [
    ("coldplug run coldplug im", "image", "plan"),
    ("coldplug run -m 64 coldplug image build --mod", "--modules --modules-as", "--memory"),
    ("coldplug run coldplug plan --", "--help", "--memory --timeout"),
];
const BASH_COMPLETION: &str = "/usr/share/bash-completion/bash_completion";

/// Makes a directory with what the lines of [`COMPLETED`] name, and the completions installed.
fn scene() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let completions = paths::checkout().join("initramfs/completions");
    fs::create_dir_all(scratch.path().join("here/dir")).unwrap();
    for name in ["sub1", "sub2", "other"] {
        fs::write(scratch.path().join("here").join(name), "").unwrap();
    }
    let module = module(&["name=tiny", "parm=param_a:the first", "parm=param_b:the second"]);
    fs::write(scratch.path().join("here/tiny.ko"), module).unwrap();
    let module = self::module(&["name=evil", "parm=$(echo pwned):run?", "parm=param_a:the first"]);
    fs::write(scratch.path().join("here/evil.ko"), module).unwrap();
    for file in tool::files(&completions) {
        let name = file.file_name().unwrap();
        fs::copy(&file, scratch.path().join(name)).unwrap();
    }
    let link = |from: &str, to: &str| {
        std::os::unix::fs::symlink(from, scratch.path().join(to)).unwrap();
    };
    link("coldplug.bash", "coldplug");
    link("coldplug", "modprobe");
    fs::create_dir(scratch.path().join("bin")).unwrap();
    for name in ["bin/coldplug", "bin/modprobe", "bin/rmmod"] {
        link(env!("CARGO_BIN_EXE_coldplug"), name);
    }
    scratch
}

/// Runs a script, with the path of the completions and the lines as arguments, in the directory
/// with files. Returns what it prints: `== LINE`, and then the completions, one in each line.
fn run(shell: &str, script: &str, lines: &[&str], wrap: &[&str]) -> String {
    let scene = scene();
    let path = scene.path().join("script");
    fs::write(&path, script).unwrap();
    // A shell that waits for a key would not end.
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "120"]).args(wrap).arg(shell);
    if shell == "zsh" {
        command.arg("-f");
    }
    command.arg(&path).arg(scene.path()).args(lines);
    command.current_dir(scene.path().join("here"));
    command.env("HOME", scene.path()).env("LC_ALL", "C.UTF-8").env("TERM", "dumb");
    command.env("XDG_CONFIG_HOME", scene.path()).env("XDG_DATA_HOME", scene.path());
    command.env("PATH", format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", scene.path().display()));
    tool::run(&mut command)
}

/// Checks the completions of all lines.
fn completes(shell: &str, script: &str) {
    let mut wanted = COMPLETED.to_vec();
    if shell != "bash" || Path::new(BASH_COMPLETION).exists() {
        wanted.extend(NESTED);
    }
    let lines: Vec<&str> = wanted.iter().map(|(line, ..)| *line).collect();
    check(shell, &run(shell, script, &lines, &[]), &wanted);
}

fn check(shell: &str, printed: &str, wanted: &[(&str, &str, &str)]) {
    for (line, wanted, unwanted) in wanted {
        let found = printed.split(&format!("== {line}\n")).nth(1).unwrap_or_default();
        let found = found.split("== ").next().unwrap_or_default();
        let found: BTreeSet<&str> = found.lines().map(|word| word.trim_end_matches('/')).collect();
        for word in wanted.split(' ') {
            assert!(found.contains(word), "{shell}: '{line}': {word} is not in {found:?}");
        }
        for word in unwanted.split(' ') {
            assert!(!found.contains(word), "{shell}: '{line}': {word} is in {found:?}");
        }
    }
}

/// The words of a line are those of readline. Without bash-completion the script is read as it is;
/// with it, its loader has to find the script by the name of the command.
const BASH: &str = r#"
completions=$1; shift
if [[ -e /usr/share/bash-completion/bash_completion ]]; then
	mkdir -p "$completions/share/bash-completion"
	ln -s "$completions" "$completions/share/bash-completion/completions"
	export XDG_DATA_DIRS=$completions/share BASH_COMPLETION_USER_DIR=/nonexistent
	. /usr/share/bash-completion/bash_completion
	load() { _comp_load "$1" 2>/dev/null || _completion_loader "$1"; }
else
	load() { . "$completions/$1"; }
fi
for line; do
	echo "== $line"
	load "${line%% *}"
	definition=$(complete -p "${line%% *}")
	[[ $definition == *' -F _coldplug '* ]] || { echo "not ours: $definition"; exit 1; }
	read -ra COMP_WORDS <<<"$line"
	[[ $line != *' ' ]] || COMP_WORDS+=("")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line}
	_coldplug
	printf '%s\n' "${COMPREPLY[@]}"
done
"#;

fn bash_completes() {
    completes("bash", BASH);
}

const FISH: &str = r#"
set completions $argv[1]
set fish_complete_path $completions
for line in $argv[2..-1]
	echo "== $line"
	complete -C "$line" | string replace -r '\t.*' ''
end
"#;

fn fish_completes() {
    completes("fish", FISH);
}

/// A zsh on a terminal: the keys of the line and tab are typed, and a `compadd` in front of the
/// builtin one writes down what it adds.
const ZSH: &str = r#"
completions=$1; shift
zmodload zsh/zpty
zpty shell 'zsh -f -i'
type() { zpty -w shell "$1"; }
# Keys may come before the editor of lines reads them: Ctrl-U must not drop the line then.
type "PS1=; stty -echo kill undef; fpath=($completions \$fpath); autoload -Uz compinit; compinit -u -D"
type "unsetopt list_beep auto_menu; LISTMAX=10000; out=$completions/hits"
type 'compadd() {
	if [[ " $* " != *" -"[OAD]" "* ]]; then
		local -a hits
		builtin compadd -O hits "$@"
		print -rl -- $hits >>$out
	fi
	builtin compadd "$@"
}'
for line; do
	type ": >\$out; echo RE''ADY"
	zpty -r shell text '*READY*'
	zpty -w -n shell "$line"$'\t'
	# The line is dropped, and another one runs when it has been completed.
	zpty -w -n shell $'\C-u'
	type "echo DO''NE"
	zpty -r shell text '*DONE*'
	print -r -- "== $line"
	cat "$completions/hits"
done
zpty -d shell
"#;

fn zsh_completes() {
    completes("zsh", ZSH);
}

/// A bash on a terminal of zsh. The command is a function that prints its arguments.
const KEYS: &str = r#"
completions=$1; shift
zmodload zsh/zpty
zpty shell 'bash --norc --noprofile -i'
type() { zpty -w shell "$1"; }
type "PS1=; stty -echo; bind 'set enable-bracketed-paste off'; . $completions/coldplug.bash"
type "coldplug() { printf '<%s>' \"\$@\"; echo DO''NE; }"
for line; do
	zpty -w -n shell "$line"$'\t\n'
	zpty -r shell text '*DONE*'
	print -r -- "== $line"
	print -r -- ${${text%DONE*}##*$'\n'}
done
zpty -d shell
"#;

fn keys_complete_a_line_in_bash() {
    let lines = [
        ("coldplug im", "<image>"),
        ("coldplug image build --modules-as=st", "<image><build><--modules-as=stored>"),
        ("coldplug image build --with gpu,wire", "<image><build><--with><gpu,wireless>"),
        ("coldplug image build --init=oth", "<image><build><--init=other>"),
        ("coldplug image build --trim", "<image><build><--trim-indexes>"),
    ];
    let printed = run("zsh", KEYS, &lines.map(|(line, _)| line), &[]);
    for (line, want) in lines {
        let found = printed.split(&format!("== {line}\n")).nth(1).unwrap_or_default();
        assert!(found.lines().next().is_some_and(|l| l.contains(want)), "{line}: {printed}");
    }
}

/// Kernels, modules and loaded modules are those of the machine.
fn names_of_this_machine_are_completed() {
    let scratch = tempfile::tempdir().unwrap();
    let release = tool::run(Command::new("uname").arg("-r"));
    let release = release.trim();
    let modules = scratch.path().join("upper/modules");
    // The name of a directory is not run.
    for release in [release, "5.0.0-other", "$(echo pwned)"] {
        fs::create_dir_all(modules.join(release)).unwrap();
    }
    let dep = "kernel/fs/my-fs.ko.xz: kernel/lib/helper.ko.xz\nkernel/lib/helper.ko.xz:\n";
    fs::write(modules.join(release).join("modules.dep"), dep).unwrap();
    fs::create_dir(scratch.path().join("proc")).unwrap();
    fs::write(scratch.path().join("proc/modules"), "used 16384 0 - Live 0x0\n").unwrap();
    fs::create_dir_all(scratch.path().join("work")).unwrap();
    let lib = fs::canonicalize("/lib").unwrap();
    let mounts = format!(
        "mount -t tmpfs none {0}/work && mkdir {0}/work/upper {0}/work/work && \
         cp -a {0}/upper/. {0}/work/upper && \
         mount -t overlay -o lowerdir={1},upperdir={0}/work/upper,workdir={0}/work/work none {1} && \
         mount --bind {0}/proc /proc && exec \"$@\"",
        scratch.path().display(),
        lib.display()
    );
    let wanted = [
        ("coldplug scan -k ", "5.0.0-other", "my_fs pwned"),
        ("coldplug report --module my", "my_fs", "helper used"),
        ("coldplug image build -k 5.0.0-other,", "RELEASE", "my_fs"),
        ("coldplug modprobe my", "my_fs", "helper used"),
        ("coldplug modprobe -r ", "used", "my_fs"),
        ("coldplug insmod tiny.ko par", "param_a= param_b=", "other"),
        ("coldplug rmmod u", "used", "my_fs"),
        ("coldplug image build -m hel", "helper", "my_fs"),
    ];
    for (shell, script) in [("bash", BASH), ("fish", FISH), ("zsh", ZSH)] {
        if tool::lacking(shell, shell).is_some() {
            continue;
        }
        let wrap = ["unshare", "--mount", "sh", "-ec", &mounts, "sh"];
        let printed = run(shell, script, &wanted.map(|(line, ..)| line), &wrap);
        // bash and fish complete the whole word of a list.
        let head = if shell == "zsh" { "" } else { "5.0.0-other," };
        let listed = format!("{head}{release}");
        let wanted = wanted.map(|(line, word, not)| match word {
            "RELEASE" => (line, &*listed, not),
            word => (line, word, not),
        });
        check(shell, &printed, &wanted);
    }
}
