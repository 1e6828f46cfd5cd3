//! One of the two: how its `mz` is started.

use std::ffi::OsString;
use std::fmt;
use std::process::Command;
use std::time::Duration;

use meshzero_testing::Process;

/// Ten times what anything takes on a busy machine, under an emulator.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The first start of an emulator may set itself up.
const FIRST: Duration = Duration::from_secs(300);

/// A system and its `mz`.
#[derive(Debug)]
pub(crate) struct Speaker {
    name: String,
    words: Vec<OsString>,
}

impl Speaker {
    /// `words` are the program and its first arguments.
    pub(crate) fn new(name: &str, words: &[OsString]) -> Self {
        assert!(!words.is_empty(), "{name} has a program");
        Self { name: name.to_owned(), words: words.to_vec() }
    }

    /// A program without a name, if there is one.
    pub(crate) fn with(words: &[OsString]) -> Option<Self> {
        (!words.is_empty()).then(|| Self::new("a console", words))
    }

    /// The line in which it announces itself.
    pub(crate) fn version(&self) -> String {
        Process::start(self.program().arg("--version")).succeed(FIRST).trim().to_owned()
    }

    /// Starts `mz` on the mesh of this process and on loopback.
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Process::start(self.program().args(arguments).args(common()))
    }

    /// The same to its end, which is to be a good one; what it printed comes back.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.start(arguments).succeed(SOON)
    }

    /// Starts it with the words of another after its own and others before those.
    pub(crate) fn start_for(&self, first: &str, other: &Self, arguments: &[&str]) -> Process {
        let program = &other.words[other.words.len() - 1];
        Process::start(self.program().arg(first).arg(program).args(arguments).args(common()))
    }

    fn program(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command
    }
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn common() -> [String; 4] {
    ["--mesh".to_owned(), format!("talk-{}", std::process::id()), "--interfaces".to_owned(), "lo".to_owned()]
}

/// Returns the address of a service from its line.
pub(crate) fn address(line: &str) -> String {
    let rest = line.split(" is at ").nth(1).expect("an address stands there");
    rest.split_whitespace().next().expect("an address stands there").to_owned()
}
