//! Help, completions and man pages.

use crate::support::{Ran, bare, json};

const COMMANDS: [&str; 12] = [
    "demo",
    "advertise",
    "discover",
    "list",
    "send",
    "publish",
    "listen",
    "describe",
    "stats",
    "bench",
    "completions",
    "man",
];

fn run(arguments: &[&str]) -> String {
    Ran::from(bare(arguments).output().expect("mz runs")).succeeded()
}

#[test]
fn help_names_every_command_and_exit_code() {
    let help = run(&["--help"]);
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        let own = run(&[command, "--help"]);
        for part in ["Examples:\n  mz ", "--json", "--mesh", "--interfaces", "--peers"] {
            assert!(own.contains(part), "{command} has no {part:?}:\n{own}");
        }
    }
    assert!(help.contains("  3    no reply in time"), "{help}");
    assert!(!help.contains("demo-part") && !help.contains('\u{1b}'), "{help}");
    assert!(run(&["--version"]).starts_with("mz "));
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert!(script.contains("advertise") && script.contains("interfaces"), "{shell}");
        assert!(!script.contains("demo-part"), "{shell}");
    }
    assert!(json(&run(&["completions", "bash", "--json"]))["script"].is_string());
    let ran = Ran::from(bare(&["completions", "no-such-shell"]).output().expect("mz runs"));
    ran.failed(2, &["no-such-shell", "zsh"]);
}

#[test]
fn man_pages_are_written() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("man/man1");
    let written = json(&run(&["man", folder.to_str().expect("its name is text"), "--json"]));
    assert_eq!(written["folder"].as_str(), folder.to_str());
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).expect("the page is there");
    assert!(page("mz.1").contains("may have been handled"));
    for command in COMMANDS {
        assert!(page(&format!("mz-{command}.1")).contains("mz "), "{command}");
    }
    assert!(!folder.join("mz-demo-part.1").exists());
    let ran = Ran::from(bare(&["man", "/dev/null/man"]).output().expect("mz runs"));
    ran.failed(5, &["/dev/null/man"]);
}
