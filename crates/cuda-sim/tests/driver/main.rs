//! The simulated driver, through the calls that C makes.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod capture;
mod clock;
mod faults;
mod machine;
mod order;
mod races;
