//! AlexNet, wired together: nets as data, training, evaluation, prediction, pictures.
#![forbid(unsafe_code)]

pub mod nets;
pub mod pictures;
