//! Recipes of disks: shell scripts that a guest runs with the tools of Debian.
//!
//! ```text
//! TEXT…              the head of a file of recipes, ignored
//! == NAME MIB…       starts a recipe with disks of these sizes, which it finds as $a, $b, $c, …
//! COMMAND…           lines of the script, for bash -eu, with the functions of data/made/lib
//! ```

/// The files of recipes.
const FILES: [&str; 4] = [
    include_str!("../data/made/luks"),
    include_str!("../data/made/lvm"),
    include_str!("../data/made/md"),
    include_str!("../data/made/stacked"),
];

/// How some disks are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Sizes of the disks in MiB.
    pub sizes: Vec<u64>,
    /// The script.
    pub script: String,
}

/// Returns the recipes of all files.
pub fn all() -> Vec<Recipe> {
    FILES.into_iter().flat_map(parse).collect()
}

fn parse(text: &str) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("== ") {
            let mut words = head.split(' ');
            let name = words.next().unwrap_or_default().to_owned();
            let sizes = words.map(|size| size.parse().expect("a size in MiB")).collect();
            recipes.push(Recipe { name, sizes, script: String::new() });
        } else if let Some(recipe) = recipes.last_mut() {
            recipe.script += &format!("{line}\n");
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
    fn the_head_of_a_file_is_ignored() {
        let recipe = Recipe { name: "x".into(), sizes: vec![8, 9], script: "a\n\nb\n".into() };
        assert_eq!(parse("text\n== x 8 9\na\n\nb\n"), [recipe]);
    }
}
