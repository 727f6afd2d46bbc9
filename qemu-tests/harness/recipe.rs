//! Recipes of disks: shell scripts that a guest runs with the tools of Debian.
//!
//! ```text
//! COMMAND…           the head of a file of recipes: each script of the file starts with it
//! == NAME MIB… [tpm] starts a recipe with disks of these sizes, which it finds as $a, $b, $c, …,
//!                    and with a TPM, whose state is kept beside the disks
//! COMMAND…           lines of the script, for bash -eu, with the functions of data/made/lib
//! ```

/// The files of recipes.
const FILES: [&str; 6] = [
    include_str!("../data/made/luks"),
    include_str!("../data/made/lvm"),
    include_str!("../data/made/md"),
    include_str!("../data/made/stacked"),
    include_str!("../data/made/tpm"),
    include_str!("../data/made/installed"),
];

/// How some disks are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Sizes of the disks in MiB.
    pub sizes: Vec<u64>,
    /// Whether the guest has a TPM.
    pub has_tpm: bool,
    /// The script.
    pub script: String,
}

/// Returns the recipes of all files.
pub fn all() -> Vec<Recipe> {
    FILES.into_iter().flat_map(parse).collect()
}

fn parse(text: &str) -> Vec<Recipe> {
    let mut head = String::new();
    let mut recipes: Vec<Recipe> = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("== ") {
            let (words, has_tpm) = match words.strip_suffix(" tpm") {
                Some(words) => (words, true),
                None => (words, false),
            };
            let mut words = words.split(' ');
            let name = words.next().unwrap_or_default().to_owned();
            let sizes = words.map(|size| size.parse().expect("a size in MiB")).collect();
            recipes.push(Recipe { name, sizes, has_tpm, script: head.clone() });
        } else {
            let script = recipes.last_mut().map_or(&mut head, |recipe| &mut recipe.script);
            script.extend([line, "\n"]);
        }
    }
    recipes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_recipe_has_a_name_of_its_own_and_at_most_eight_disks() {
        let recipes = all();
        let names: BTreeSet<_> = recipes.iter().map(|recipe| &recipe.name).collect();
        assert_eq!(names.len(), recipes.len());
        assert!(recipes.len() < 256, "each is one SCSI target");
        for recipe in &recipes {
            assert!((1..=8).contains(&recipe.sizes.len()), "{}", recipe.name);
        }
    }

    #[test]
    fn the_head_of_a_file_starts_every_script() {
        let recipe = |name: &str, sizes: &[u64], has_tpm, script: &str| Recipe {
            name: name.into(),
            sizes: sizes.into(),
            has_tpm,
            script: script.into(),
        };
        let want = [recipe("x", &[8, 9], false, "h\na\n\n"), recipe("y", &[1], true, "h\nb\n")];
        assert_eq!(parse("h\n== x 8 9\na\n\n== y 1 tpm\nb\n"), want);
    }
}
