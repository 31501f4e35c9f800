//! Waiting for a card, with a deadline: a card that hangs would hold the program for ever.

use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::error::Words;
use super::{Context, DriverError};

/// How long a card may do nothing, in seconds, where `ALEXNET_DEADLINE` does not say.
const SECONDS: u64 = 60;
/// Waits that are shorter than this end without sleep.
const SPIN: Duration = Duration::from_millis(20);
/// Between two looks in longer waits.
const PAUSE: Duration = Duration::from_micros(100);

/// The error of the first card that did not answer.
static SILENT: OnceLock<DriverError> = OnceLock::new();

/// The error of a card that did not answer, if there was one. Other cards may wait for it, and calls that free memory
/// do, so the program uses no card any more.
pub(super) fn refused() -> Result<(), DriverError> {
    SILENT.get().map_or(Ok(()), |error| Err(error.clone()))
}

/// Asks until `is_done`. Time inside of the driver does not count: a simulated one computes there.
pub(super) fn wait(
    context: &Context,
    call: &'static str,
    is_done: impl Fn() -> Result<bool, DriverError>,
) -> Result<(), DriverError> {
    // A device that was opened has looked at the variable.
    let deadline = deadline().unwrap_or(Duration::from_secs(SECONDS));
    let mut waited = Duration::ZERO;
    while !is_done()? {
        let pause = Instant::now();
        if waited < SPIN {
            thread::yield_now()
        } else {
            thread::sleep(PAUSE)
        }
        waited += pause.elapsed();
        if waited > deadline {
            return Err(SILENT.get_or_init(|| silent(context, call, deadline)).clone());
        }
    }
    Ok(())
}

/// How long a card may do nothing; else what `ALEXNET_DEADLINE` is, if that is no number of seconds. Looked up once: a step
/// waits often.
pub(crate) fn deadline() -> Result<Duration, String> {
    static DEADLINE: LazyLock<Result<Duration, String>> = LazyLock::new(|| {
        let Some(value) = std::env::var_os("ALEXNET_DEADLINE") else { return Ok(Duration::from_secs(SECONDS)) };
        let value = value.to_string_lossy();
        value.parse().map(Duration::from_secs).map_err(|_| value.into_owned())
    });
    DEADLINE.clone()
}

fn silent(context: &Context, call: &'static str, deadline: Duration) -> DriverError {
    let words = Words {
        doing: format!("waiting for device {}", context.ordinal()),
        name: "CUDA_ERROR_NOT_READY".to_string(),
        text: format!("the device does not answer for {} s", deadline.as_secs()),
        remedy: "it is given up, and with it all devices of this program. If it only needs longer, \
                 ALEXNET_DEADLINE=600 lets it have 600 s"
            .to_string(),
        report: String::new(),
    };
    DriverError { call, code: 600, words: Box::new(words) }
}
