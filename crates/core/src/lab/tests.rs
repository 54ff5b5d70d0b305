//! What tests of the laboratory share.

pub mod odd;
