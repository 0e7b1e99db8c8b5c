//! Mote on the desktop: the float graph and its executor.
pub mod graph;
