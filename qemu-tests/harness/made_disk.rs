//! Disks of LUKS, LVM and md, made by the tools of Debian in a guest.
//!
//! This machine need not have the device mapper: the system of [`debian`] boots with coldplug's
//! image, and `coldplug.exec=` runs the recipes ([`recipe`]). Two guests make all disks that the
//! cache lacks, and a third one, which has a TPM, those whose recipes need it.
//!
//! ```text
//! made/NAME-HASH/disk0 …   in the cache: the disks; HASH is that of the recipe and of all versions
//! made/NAME-HASH/out/…     what the tools printed: data/made/lib lists the files
//! made/NAME-HASH/tpm/…     state of the TPM: each boot has a copy
//! ```

use crate::files::{busybox, put};
use crate::kernel::{cache, hash, lock};
use crate::machine::{Bus, Machine};
use crate::recipe::{self, Recipe};
use crate::{debian, disk, filesystem, image, note, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The passphrase of every LUKS device.
pub const PASSPHRASE: &str = "cold plug";

/// The script that runs recipes in the guest, and the functions that recipes use.
const RUN: &str = include_str!("../data/made/run");
const LIB: &str = include_str!("../data/made/lib");
/// Source of the program that is the init of every root that recipes make.
const GUEST: &str = include_str!("../guests/guest.rs");

/// Words of the kernel command line of the guest. Disks are attached by the script.
const WORDS: &str = "root=/dev/vda rw scsi_mod.scan=manual \"coldplug.exec=mkdir -p /made && \
    mount /dev/vdb /made && exec bash /made/run\"";

/// Directory with the state of the guest's TPM, while disks are made.
const TPM: &str = ".tpm";

/// Deadline of the guest, and of each recipe in it.
const BOOT_DEADLINE: Duration = Duration::from_secs(120);
const RECIPE_DEADLINE: Duration = Duration::from_secs(120);

/// The disks of one recipe in the cache, which no test writes to.
#[derive(Debug)]
pub struct Made {
    dir: PathBuf,
}

/// Returns the disks of the recipe `name`. All disks that the cache lacks are made first.
///
/// # Panics
///
/// If there is no such recipe, or if it fails.
#[track_caller]
pub fn made(name: &str) -> Made {
    let recipes = recipe::all();
    let recipe = recipes.iter().find(|recipe| recipe.name == name);
    let dir = home(recipe.unwrap_or_else(|| panic!("no recipe {name}")));
    if !dir.exists() {
        let _lock = lock(&cache().join("made/lock"));
        // A recipe that has failed is run again only for the test that needs it.
        let is_missing = |recipe: &Recipe| {
            let home = home(recipe);
            !home.exists() && (recipe.name == name || !failed(&home).exists())
        };
        let missing: Vec<_> = recipes.into_iter().filter(is_missing).collect();
        if missing.iter().any(|recipe| recipe.name == name) {
            make(&missing);
        }
        let failed = failed(&dir);
        let log = || fs::read_to_string(failed.join("out/log")).unwrap_or_default();
        assert!(dir.exists(), "{name} could not be made: {}", log());
    }
    Made { dir }
}

/// Returns the directory of a recipe in the cache.
fn home(recipe: &Recipe) -> PathBuf {
    let inputs = (&recipe.sizes, &recipe.script, RUN, LIB, GUEST, debian::versions());
    cache().join("made").join(format!("{}-{:016x}", recipe.name, hash(&inputs)))
}

/// Returns the directory for the output of a recipe that failed.
fn failed(home: &Path) -> PathBuf {
    PathBuf::from(format!("{}.failed", home.display()))
}

impl Made {
    /// Returns the disks.
    pub fn disks(&self) -> Vec<PathBuf> {
        (0..).map(|n| self.dir.join(format!("disk{n}"))).take_while(|file| file.exists()).collect()
    }

    /// Attaches all disks to `vm`, which changes copies of them that go with the machine.
    pub fn attach(&self, vm: Machine, bus: Bus) -> Machine {
        (0..self.disks().len()).fold(vm, |vm, number| self.attach_one(number, vm, bus))
    }

    /// Attaches the disk with this number in the same way.
    pub fn attach_one(&self, number: usize, vm: Machine, bus: Bus) -> Machine {
        vm.drive(bus, &format!("snapshot=on,file={}", self.disks()[number].display()))
    }

    /// Adds the TPM of the guest to `vm`, as `device`.
    pub fn attach_tpm(&self, vm: Machine, device: &str) -> Machine {
        let state = vm.dir().join("tpm");
        let mut cp = tool::command("cp", "coreutils");
        tool::run(cp.arg("-r").arg(self.dir.join("tpm")).arg(&state));
        vm.tpm(device, &state)
    }

    /// Copies the disks to `dir`, for a test that changes them.
    pub fn copy(&self, dir: &Path) -> Vec<PathBuf> {
        let mut cp = tool::command("cp", "coreutils");
        tool::run(cp.arg("--sparse=always").args(self.disks()).arg(dir));
        self.disks().iter().map(|file| dir.join(file.file_name().unwrap())).collect()
    }

    /// Returns what a tool printed: the text of this file of the recipe's output.
    ///
    /// # Panics
    ///
    /// If the recipe wrote no such file.
    pub fn text(&self, name: &str) -> String {
        let file = self.output(name);
        let bytes = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the path of a file of the recipe's output, such as a key file.
    pub fn output(&self, name: &str) -> PathBuf {
        self.dir.join("out").join(name)
    }
}

/// Runs `recipes` in guests, and moves what succeeded into the cache.
fn make(recipes: &[Recipe]) {
    let parent = cache().join("made");
    let aside = tempfile::Builder::new().prefix(".new-").tempdir_in(&parent).unwrap();
    let (with_tpm, without): (Vec<_>, Vec<_>) = recipes.iter().partition(|r| r.has_tpm);
    let mut shares = [Vec::new(), Vec::new(), with_tpm];
    for (number, recipe) in without.into_iter().enumerate() {
        shares[number % 2].push(recipe);
    }
    let shares = shares.into_iter().filter(|share| !share.is_empty());
    let machines = shares.enumerate().map(|(number, share)| {
        let output = disk::empty(512, &aside.path().join(format!("output{number}.tar")));
        (machine(&share, aside.path(), &output), output)
    });
    let machines: Vec<_> = machines.collect();
    std::thread::scope(|scope| {
        let runs = machines.into_iter().map(|(vm, output)| (scope.spawn(|| vm.run()), output));
        for (run, output) in runs.collect::<Vec<_>>() {
            let boot = run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            note!("a guest made disks in {:?}", boot.wall);
            let mut tar = tool::command("tar", "tar");
            tool::run(tar.arg("-C").arg(aside.path()).arg("-xf").arg(output));
        }
    });
    for recipe in recipes {
        let made = aside.path().join(&recipe.name);
        if recipe.has_tpm {
            let mut cp = tool::command("cp", "coreutils");
            tool::run(cp.arg("-r").arg(aside.path().join(TPM)).arg(made.join("tpm")));
        }
        keep(recipe, &made);
    }
}

/// Returns the guest that makes the disks of `recipes` in `aside`, and writes a tar to `output`.
fn machine(recipes: &[&Recipe], aside: &Path, output: &Path) -> Machine {
    let tree = debian::system();
    let image = image::coldplug(&tree, &["--modules", "@virtio,@storage,@filesystems"]);
    let number = u32::try_from(recipes.len()).unwrap();
    let vm = Machine::new(&tree, &image)
        .args(["-m", "1536", "-cpu", "max"])
        .cmdline(WORDS)
        .deadline(BOOT_DEADLINE + number * RECIPE_DEADLINE);
    let scripts = scripts(recipes, &vm.dir().join("scripts"));
    let system = format!("snapshot=on,file={}", debian::filesystem().display());
    let vm = if recipes.iter().any(|recipe| recipe.has_tpm) {
        vm.tpm("tpm-tis", &aside.join(TPM))
    } else {
        vm
    };
    let vm = vm
        .drive(Bus::VirtioBlk, &system)
        .disk(Bus::VirtioBlk, &scripts)
        .disk(Bus::VirtioBlk, output)
        .drive(Bus::VirtioBlk, &system)
        .device("virtio-scsi-pci,id=made");
    recipes.iter().enumerate().fold(vm, |vm, (target, recipe)| attach(vm, aside, target, recipe))
}

/// Makes the disk with the scripts: `recipes`, their functions, and the root for the tests.
fn scripts(recipes: &[&Recipe], file: &Path) -> PathBuf {
    let dir = filesystem::content();
    let scratch = tempfile::tempdir().unwrap();
    let to = scratch.path();
    tool::run(tool::command("cp", "coreutils").arg("-a").arg(dir.path()).arg(to.join("root")));
    put(to, "run", RUN.as_bytes(), 0o644);
    put(to, "lib", LIB.as_bytes(), 0o644);
    put(to, "busybox", &busybox(), 0o755);
    if recipes.iter().any(|recipe| recipe.has_tpm) {
        let file = |name: &str| to.join(name).into_os_string();
        let openssl = || tool::command("openssl", "openssl");
        tool::run(openssl().args(["genrsa", "-out"]).arg(file("policy.pem")).arg("2048"));
        let mut public = openssl();
        public.args(["rsa", "-pubout", "-in"]).arg(file("policy.pem"));
        tool::run(public.arg("-out").arg(file("policy.pub")));
    }
    let mut plan = String::new();
    for (target, Recipe { name, sizes, script, .. }) in recipes.iter().enumerate() {
        plan += &format!("{name} {target} {}\n", sizes.len());
        put(to, &format!("{name}.sh"), script.as_bytes(), 0o644);
    }
    put(to, "plan", plan.as_bytes(), 0o644);
    let mut mkfs = tool::command("mkfs.ext4", "e2fsprogs");
    tool::run(mkfs.args(["-q", "-F", "-d"]).args([to, file]).arg("64M"));
    file.to_owned()
}

/// Attaches the blank disks of `recipe` as the logical units of a SCSI target. Blocks of zeros
/// become holes in their files.
fn attach(mut vm: Machine, aside: &Path, target: usize, recipe: &Recipe) -> Machine {
    let dir = aside.join(&recipe.name);
    fs::create_dir_all(dir.join("out")).unwrap();
    for (lun, size) in recipe.sizes.iter().enumerate() {
        let file = disk::empty(*size, &dir.join(format!("disk{lun}")));
        let id = format!("made{target}-{lun}");
        let drive = format!(
            "if=none,id={id},format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap,file={}",
            file.display()
        );
        let place = format!("bus=made.0,scsi-id={target},lun={lun}");
        vm = vm.args(["-drive", &drive]).device(&format!("scsi-hd,drive={id},serial={id},{place}"));
    }
    vm
}

/// Moves the disks of `recipe` into the cache if it succeeded, else its output for the message.
fn keep(recipe: &Recipe, from: &Path) {
    let status = fs::read_to_string(from.join("out/status")).unwrap_or_default();
    let home = home(recipe);
    let is_made = status.trim() == "0";
    let to = if is_made { home } else { failed(&home) };
    let _ = fs::remove_dir_all(&to);
    fs::rename(from, &to).unwrap();
}
