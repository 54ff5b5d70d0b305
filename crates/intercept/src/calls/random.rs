//! Randomness: getrandom(2). Reading `/dev/urandom` is in [`transfer`](super::transfer).

use super::{Answer, Call, returns};

/// The most that one call gives. The kernel gives up to 32 MiB.
const BYTES_MAX: u64 = 1 << 20;

pub fn getrandom(call: &mut Call<'_>) -> Answer {
    let length = call.args[1].min(BYTES_MAX) as usize;
    let bytes = call.host.entropy.bytes(length);
    call.tid().write(call.args[0], &bytes)?;
    returns(length as i64)
}
