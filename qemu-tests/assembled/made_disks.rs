//! Disks of LUKS, LVM and md by the tools of Debian: every recipe succeeds.

use harness::run::{BOOT, Test};
use harness::{made_disk, recipe, tests};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    every_recipe_makes_its_disks,
];

/// The cache is filled here, if this test runs first: it takes minutes.
fn every_recipe_makes_its_disks() {
    for recipe in recipe::all() {
        let made = made_disk::made(&recipe.name);
        assert_eq!(made.disks().len(), recipe.sizes.len(), "{}", recipe.name);
    }
}
