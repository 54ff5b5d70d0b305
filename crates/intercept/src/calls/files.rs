//! Files: open(2), stat(2), statx(2), getdents64(2), statfs(2). The kernel does them. What could differ between runs is
//! changed afterwards: the times and numbers of files that were made during the run, the order of directories, the space
//! that is left.

use super::{Answer, Call, PROCEED, fail};

pub fn open(call: &mut Call<'_>) -> Answer {
    opened(call, 0)
}

pub fn openat(call: &mut Call<'_>) -> Answer {
    opened(call, 1)
}

fn opened(call: &mut Call<'_>, place: usize) -> Answer {
    let path = call.tid().text(call.args[place])?;
    if path.starts_with(b"/tmp/hsperfdata") {
        // A file by which Java virtual machines tell each other of themselves. They do without.
        return fail(libc::EACCES);
    }
    PROCEED
}

pub fn stat(_: &mut Call<'_>) -> Answer {
    PROCEED
}

pub fn newfstatat(_: &mut Call<'_>) -> Answer {
    PROCEED
}

pub fn statx(_: &mut Call<'_>) -> Answer {
    PROCEED
}

pub fn getdents(_: &mut Call<'_>) -> Answer {
    PROCEED
}

pub fn statfs(_: &mut Call<'_>) -> Answer {
    PROCEED
}
