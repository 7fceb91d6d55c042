//! What a check needs and does not find: it is skipped, or fails where CI declares that it is there.

use anyhow::{Result, bail};

/// The variable that lists what must be there, separated by commas.
const VARIABLE: &str = "FAKNOW_REQUIRE";

/// Prints that a check is skipped, since `resource` is missing; fails if `FAKNOW_REQUIRE` lists it.
pub fn skip(resource: &str, reason: &str) -> Result<()> {
    if is_listed(resource, &std::env::var(VARIABLE).unwrap_or_default()) {
        bail!("{VARIABLE} lists `{resource}`: {reason}");
    }
    println!("SKIPPED: {reason}");
    Ok(())
}

fn is_listed(resource: &str, list: &str) -> bool {
    list.split(',').any(|it| it.trim() == resource)
}

#[test]
fn listed_resources_are_required() {
    let check = |list: &str, expected| assert_eq!(is_listed("deny", list), expected, "{list}");
    check("", false);
    check("deny", true);
    check("data, deny,python", true);
    check("denying,den", false);
}
