//! Programs that start inside a namespace.

use std::{fs::File, os::unix::process::CommandExt as _, process::Command};

use nix::sched::{CloneFlags, setns};

use crate::Namespace;

/// Has a command start in a network namespace, and in a mount namespace where one is given; the calling process stays where
/// it is.
#[expect(
    unsafe_code,
    reason = "a process enters namespaces between fork and exec, for which std has only `pre_exec`"
)]
pub fn start_inside(command: &mut Command, network: Namespace, mounts: Option<File>) {
    let already = network.is_current();
    // SAFETY: the closure makes two `setns` system calls on descriptors that it owns; they are async-signal-safe, and it
    // allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if !already {
                setns(&network, CloneFlags::CLONE_NEWNET)?;
            }
            if let Some(mounts) = &mounts {
                setns(mounts, CloneFlags::CLONE_NEWNS)?;
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_sees_only_the_interfaces_of_its_namespace() {
        let Ok(empty) = Namespace::create() else {
            println!("skipped: making a network namespace needs root");
            return;
        };
        let mut command = Command::new("cat");
        start_inside(command.arg("/proc/self/net/dev"), empty, None);
        let output = command.output().unwrap();
        let seen = String::from_utf8(output.stdout).unwrap();
        let names: Vec<_> = seen.lines().skip(2).filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names.iter().map(|name| name.trim()).collect::<Vec<_>>(), ["lo"]);
    }
}
