//! The runtime's face for C: its header, its archive, its example on simulated boards, and hostile callers.
#![allow(unsafe_code, reason = "its functions are called as C calls them")]

mod archive;
mod cooperative;
mod example;
mod header;
mod hostile;
mod memories;
mod numbers;
mod tools;
