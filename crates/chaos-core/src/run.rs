//! Running a plan: the world is set up, measured, broken, put back, and judged.

pub mod event;
pub mod record;
pub mod view;
