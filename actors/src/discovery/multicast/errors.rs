//! The questions that could not be sent, for a diagnosis.

use std::io;

use meshzero_proto::diagnosis::SendError;

/// The most distinct errors that are remembered.
const MAX_ERRORS: usize = 32;

/// Records a question that could not be sent, once for each interface and kind.
pub(super) fn record_error(errors: &mut Vec<SendError>, interface: &str, error: &io::Error) {
    let is_same = |known: &&mut SendError| known.interface == interface && known.kind == error.kind();
    if let Some(known) = errors.iter_mut().find(is_same) {
        known.count += 1;
    } else if errors.len() < MAX_ERRORS {
        let (interface, kind, code) = (interface.to_owned(), error.kind(), error.raw_os_error());
        errors.push(SendError { interface, kind, code, count: 1 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_counted_once_for_each_interface_and_kind() {
        let mut errors = Vec::new();
        let error = |kind: io::ErrorKind| io::Error::from(kind);
        record_error(&mut errors, "eth0", &error(io::ErrorKind::NetworkUnreachable));
        record_error(&mut errors, "eth0", &error(io::ErrorKind::NetworkUnreachable));
        record_error(&mut errors, "eth0", &error(io::ErrorKind::PermissionDenied));
        for n in 0..100 {
            record_error(&mut errors, &format!("eth{n}"), &error(io::ErrorKind::NetworkUnreachable));
        }
        assert_eq!((errors[0].count, errors[1].count, errors.len()), (3, 1, MAX_ERRORS));
    }
}
