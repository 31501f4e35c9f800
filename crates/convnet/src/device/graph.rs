//! Work that is given to a card once, and launched many times.

use cust::sys::{
    CUgraph, CUgraphExec, CUstreamCaptureMode, cuGraphDestroy, cuGraphExecDestroy, cuGraphInstantiateWithFlags,
    cuGraphLaunch, cuStreamBeginCapture_v2, cuStreamEndCapture,
};

use super::error::Doing;
use super::{Context, DriverError, Stream};

/// Captured work, ready to be launched.
#[derive(Debug)]
pub struct Graph {
    inner: CUgraphExec,
    context: Context,
}

// SAFETY: the driver lets every thread launch a graph, one at a time; launches take it by `&mut`.
unsafe impl Send for Graph {}

impl Stream {
    /// Captures what `work` gives to this stream, and to others that wait for its events and that it waits for again.
    /// Nothing of it runs. While it lasts, this thread may not wait for the card, allocate, or free.
    ///
    /// # Errors
    /// Those of `work`, else those of the driver: 901 when something that cannot be captured was called.
    pub fn capture<E: From<DriverError>>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<Graph, E> {
        let doing = || format!("capturing a graph on device {}", self.context.ordinal());
        self.context.bind()?;
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives.
        unsafe { cuStreamBeginCapture_v2(self.inner.as_inner(), mode) }.doing(doing)?;
        let worked = work();

        self.context.bind()?;
        let mut graph: CUgraph = std::ptr::null_mut();
        // SAFETY: the stream lives, and the call writes a handle. It ends the capture also where it fails.
        let ended = unsafe { cuStreamEndCapture(self.inner.as_inner(), &raw mut graph) }.doing(doing);
        let template = Template(graph);
        worked?;
        ended?;

        let mut inner: CUgraphExec = std::ptr::null_mut();
        // SAFETY: the graph lives, and the call writes a handle.
        unsafe { cuGraphInstantiateWithFlags(&raw mut inner, template.0, 0) }.doing(doing)?;
        Ok(Graph { inner, context: self.context.clone() })
    }

    /// Launches a graph.
    ///
    /// # Safety
    /// Everything that the captured work uses is still there, and stays until the launch is done: buffers, modules, and
    /// what its kernels' contracts ask for.
    ///
    /// # Errors
    /// Those of the driver.
    pub unsafe fn launch_graph(&self, graph: &mut Graph) -> Result<(), DriverError> {
        self.context.bind()?;
        // SAFETY: graph and stream live; the rest is the caller's word.
        unsafe { cuGraphLaunch(graph.inner, self.inner.as_inner()) }
            .doing(|| format!("launching a graph on device {}", self.context.ordinal()))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // The driver keeps a graph until its launches are over. What fails here fails again at the next call.
        if self.context.bind().is_ok() {
            // SAFETY: nothing uses the handle any more.
            unsafe { cuGraphExecDestroy(self.inner) };
        }
    }
}

/// What was captured; not needed once it is instantiated.
struct Template(CUgraph);

impl Drop for Template {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: nothing uses the handle any more.
            unsafe { cuGraphDestroy(self.0) };
        }
    }
}
