//! explore
mod draw;
pub use draw::draw;
