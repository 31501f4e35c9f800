//! The layers, their operations and the devices that run them.
