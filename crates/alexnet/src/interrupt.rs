//! Ctrl-C: the first asks to stop, the second ends the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use dataset::{Error, ImageFault, Images};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::console;

/// The exit code of a program that was stopped by Ctrl-C.
pub const EXIT_CODE: u8 = 130;

/// How often the answer to Ctrl-C is due.
const POLL: Duration = Duration::from_millis(100);

/// Whether somebody asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to Ctrl-C and `kill` from here on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn install() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first one finds the flag unset and sets it, the second one finds it set.
            flag::register_conditional_shutdown(signal, i32::from(EXIT_CODE), Arc::clone(&interrupt.0))
                .and_then(|_| flag::register(signal, Arc::clone(&interrupt.0)))
                .context("cannot listen to Ctrl-C")?;
        }
        interrupt.announce();
        Ok(interrupt)
    }

    /// Answers the first Ctrl-C, since a step may take long.
    fn announce(&self) {
        let interrupt = self.clone();
        thread::spawn(move || {
            while !interrupt.requested() {
                thread::sleep(POLL);
            }
            console::warn("stopping as soon as everything is saved; Ctrl-C again ends at once, without saving");
        });
    }

    /// Whether to stop as soon as everything is saved.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same images until somebody asks to stop, unreadable from then on: so that a long pass over them ends.
    pub fn guard<'a>(&'a self, images: &'a dyn Images) -> impl Images + 'a {
        Guarded { interrupt: self, images }
    }
}

struct Guarded<'a> {
    interrupt: &'a Interrupt,
    images: &'a dyn Images,
}

impl Images for Guarded<'_> {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.images.label(index)
    }

    fn name(&self, index: usize) -> String {
        self.images.name(index)
    }

    fn read(&self, index: usize, rgb: &mut [u8]) -> Result<(), Error> {
        if self.interrupt.requested() {
            let fault = ImageFault::Io(std::io::ErrorKind::Interrupted.into());
            return Err(Error::Image { path: self.name(index).into(), fault });
        }
        self.images.read(index, rgb)
    }
}
