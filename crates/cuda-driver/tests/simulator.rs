//! The simulated driver behind the symbols. The other half, `libcuda.so.1`, is tested in `convnet`, where there is a
//! program to start.

use cuda_driver::{Backend, BackendError, backend, choose, describe, last_failure};
use cust_raw::{CUresult, cuDeviceGet, cuDeviceGetCount, cuInit};

// One test: the driver is the process's.
#[test]
fn the_chosen_driver_answers_and_failures_are_kept_with_their_call() {
    let chosen = Backend::Simulator { devices: 3 };
    assert_eq!(choose(chosen), Ok(()));
    assert_eq!(backend(), Ok(chosen));
    assert_eq!(choose(chosen), Ok(()), "the same one is fine");
    assert_eq!(choose(Backend::Library), Err(BackendError::Chosen { chosen }));

    let (mut count, mut device) = (0, 0);
    // SAFETY: the calls write integers.
    unsafe {
        assert_eq!(cuInit(0), CUresult::CUDA_SUCCESS);
        assert_eq!(cuDeviceGetCount(&raw mut count), CUresult::CUDA_SUCCESS);
        assert_eq!(last_failure(), None);
        assert_eq!(cuDeviceGet(&raw mut device, 3), CUresult::CUDA_ERROR_INVALID_DEVICE);
    }
    assert_eq!(count, 3);
    let failure = last_failure().expect("a call failed");
    assert_eq!((failure.call, failure.code), ("cuDeviceGet", 101));
    assert_eq!(last_failure(), None, "it is taken once");

    // SAFETY: as above.
    unsafe { cuDeviceGet(&raw mut device, -1) };
    assert_eq!(std::thread::spawn(last_failure).join().ok(), Some(None), "failures are the thread's own");
    assert!(describe(101).is_some_and(|(name, text)| !name.is_empty() && !text.is_empty()));
    assert!(last_failure().is_some(), "asking for a text is no call");
}
