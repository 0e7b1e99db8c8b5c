//! mote-tools
