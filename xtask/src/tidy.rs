//! x
pub fn run(_: &mut crate::workspace::Workspace, _: &[String]) -> anyhow::Result<()> { Ok(()) }
