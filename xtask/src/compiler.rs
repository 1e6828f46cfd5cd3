//! The compiler's messages about common mistakes of users: programs that must not compile, each with a sentence that its errors
//! must contain.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::metadata::Metadata;
use crate::process::{Failure, Outcome, read};

/// A program that must not compile.
struct Mistake {
    /// Its file, below the project's folder.
    file: &'static str,
    /// The sentence that its errors must contain.
    expected: &'static str,
    /// A word that its errors must not contain, because it tells a user nothing.
    unwanted: &'static str,
}

const MISTAKES: &[Mistake] = &[Mistake {
    file: "tests/compiler/forgotten_handler.rs",
    expected: "the actor `Idle` does not handle `Value`",
    unwanted: "meshzero_actors::",
}];

/// The crates that these programs use.
const CRATES: [&str; 2] = ["actix", "meshzero"];

/// Compiles each program against the libraries that `cargo build` with these options has built.
pub(crate) fn check(metadata: &Metadata, options: &[&str]) -> Outcome {
    let mut build = Command::new(env!("CARGO"));
    build.arg("build").args(options).args(["--message-format", "json-render-diagnostics"]);
    let libraries = libraries(&read(&mut build)?);
    for Mistake { file, expected, unwanted } in MISTAKES {
        let explained = explanation(&metadata.root.join(file), &libraries, &metadata.target)?;
        judge(file, &explained, expected, unwanted)?;
    }
    Ok(())
}

fn judge(file: &str, explained: &str, expected: &str, unwanted: &str) -> Outcome {
    if !explained.contains(expected) || explained.contains(unwanted) {
        let wanted = format!("{expected:?} and not {unwanted:?}");
        return Err(Failure(format!("{file}: the errors should contain {wanted}; they are\n{explained}")));
    }
    Ok(())
}

/// The name and the file of each of these libraries, from cargo's messages.
fn libraries(messages: &str) -> Vec<(&'static str, PathBuf)> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_lib = artifacts.filter(|message| {
        message["reason"] == "compiler-artifact"
            && message["target"]["kind"] == serde_json::json!(["lib"])
            && message["profile"]["test"] == false
    });
    let named = of_lib.filter_map(|message| {
        let name = CRATES.into_iter().find(|name| message["target"]["name"] == *name)?;
        let mut files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
        Some((name, PathBuf::from(files.find(|file| file.ends_with(".rlib"))?)))
    });
    named.collect()
}

/// The errors of a program that does not compile.
fn explanation(file: &Path, libraries: &[(&str, PathBuf)], target: &Path) -> Outcome<String> {
    let mut compile = Command::new("rustc");
    compile.args([
        "--edition",
        "2024",
        "--crate-type",
        "lib",
        "--emit",
        "metadata",
        "--color",
        "never",
        "-L",
    ]);
    compile.arg(format!("dependency={}", target.join("debug/deps").display()));
    for (name, library) in libraries {
        compile.arg("--extern").arg(format!("{name}={}", library.display()));
    }
    let output = compile.arg("-o").arg(target.join("mistake.rmeta")).arg(file).output();
    let output = output.map_err(|error| Failure(format!("cannot start rustc: {error}")))?;
    if output.status.success() {
        return Err(Failure(format!("{} compiles, but must not", file.display())));
    }
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_among_cargos_messages_and_their_tests_are_not() {
        let message = |name: &str, test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact", "target": { "kind": ["lib"], "name": name },
                "profile": { "test": test }, "filenames": [format!("/t/lib{name}.rlib"), format!("/t/lib{name}.rmeta")],
            })
        };
        let lines = [message("meshzero", true), message("serde", false), message("meshzero", false)];
        let text = lines.map(|line| line.to_string()).join("\n");
        assert_eq!(libraries(&text), [("meshzero", PathBuf::from("/t/libmeshzero.rlib"))]);
    }

    #[test]
    fn an_explanation_needs_its_sentence_and_nothing_internal() {
        let judge = |explained| judge("a.rs", explained, "does not handle", "meshzero_actors::");
        assert!(judge("error: the actor does not handle this").is_ok());
        assert!(judge("error: unsatisfied").is_err());
        assert!(judge("it does not handle this; meshzero_actors::Discovery does").is_err());
    }
}
