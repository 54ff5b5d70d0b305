//! Freeing what is large elsewhere: a server that frees a million entries itself answers no client meanwhile.

use std::thread;

/// Frees a value on a thread of its own. If the system refuses one, it is freed here.
pub fn free(value: impl Send + 'static) {
    drop(thread::Builder::new().name("free".to_owned()).spawn(move || drop(value)));
}
