//! mote-firmware-sim
