//! Networks that are not a quiet laboratory, each on namespaces and cables of its own, with a real `mz`.

mod addresses;
mod air;
mod awaited;
mod brief;
mod choices;
mod crowded;
mod diagnosis;
mod exhausted;
mod families;
mod firewall;
mod ingress;
mod late;
mod lists;
mod private;
mod redial;
mod shown;
mod silence;
mod sockets;
mod translation;
mod zones;

use std::time::Duration;

use meshzero_testing::{Host, Process, binary};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn mz(host: &Host, arguments: &[&str]) -> Process {
    Process::start(host.command(binary("mz")).args(arguments))
}

/// The output of `mz` when it ends by itself.
#[track_caller]
fn answer(host: &Host, arguments: &[&str]) -> String {
    mz(host, arguments).succeed(PATIENCE).trim().to_owned()
}

/// The output of `mz`, whatever its exit code.
#[track_caller]
fn output(host: &Host, arguments: &[&str]) -> String {
    let mut mz = mz(host, arguments);
    mz.wait(PATIENCE);
    mz.stdout()
}

/// The exit code of `mz`, and what it says on standard error.
#[track_caller]
fn failure(host: &Host, arguments: &[&str]) -> (Option<i32>, String) {
    let mut mz = mz(host, arguments);
    let code = mz.wait(PATIENCE).code();
    (code, mz.stderr())
}

/// Advertises, and returns the address that is shown.
#[track_caller]
fn advertise(host: &Host, arguments: &[&str]) -> (Process, String) {
    let mut service = mz(host, &[&["advertise"], arguments].concat());
    let line = service.expect_line(" is at ", PATIENCE);
    let address = line.split(" is at ").nth(1).and_then(|rest| rest.split(' ').next());
    (service, address.expect("an address stands there").to_owned())
}

/// As [`advertise`], where the address is known or of no matter.
#[track_caller]
fn serve(host: &Host, arguments: &[&str]) -> Process {
    advertise(host, arguments).0
}
