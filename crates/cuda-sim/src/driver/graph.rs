//! Graphs: work that is given at once, as often as wanted.

use std::sync::Arc;

use super::Driver;
use super::error::{Code, Status};
use super::operation::Work;
use super::schedule::Id;

/// One piece of work of a graph.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) context: u64,
    pub(super) work: Work,
    /// Nodes that it comes after; all of them stand before it.
    pub(super) after: Vec<usize>,
}

/// What was captured.
#[derive(Debug)]
pub(super) struct Graph {
    nodes: Arc<Vec<Node>>,
    /// A handle for each node, when somebody has asked.
    handles: Vec<u64>,
}

impl Graph {
    pub(super) fn new(nodes: Vec<Node>) -> Graph {
        Graph { nodes: Arc::new(nodes), handles: Vec::new() }
    }
}

/// A graph that can be launched.
#[derive(Debug)]
pub(super) struct Executable {
    nodes: Arc<Vec<Node>>,
    /// The end of its last launch: launches of the same executable do not overlap.
    last: Option<Id>,
}

impl Executable {
    pub(super) fn last(&self) -> Option<Id> {
        self.last
    }
}

impl Driver {
    pub(super) fn graph_nodes(&mut self, graph: u64) -> Status<Vec<u64>> {
        let missing = self.graphs.get(&graph).ok_or(Code::INVALID_HANDLE).map(|graph| match graph.handles.len() {
            0 => graph.nodes.len(),
            _ => 0,
        })?;
        let new: Vec<u64> = (0..missing).map(|_| self.handle()).collect();
        let graph = self.graphs.get_mut(&graph).ok_or(Code::INVALID_HANDLE)?;
        graph.handles.extend(new);
        Ok(graph.handles.clone())
    }

    pub(super) fn instantiate(&mut self, graph: u64, flags: u64) -> Status<u64> {
        self.current()?;
        if flags != 0 {
            return Err(self.explain(
                Code::NOT_SUPPORTED,
                format!("the simulator does not know the flags {flags:#x} of cuGraphInstantiateWithFlags"),
            ));
        }
        let nodes = self.graphs.get(&graph).ok_or(Code::INVALID_HANDLE)?.nodes.clone();
        let handle = self.handle();
        self.executables.insert(handle, Executable { nodes, last: None });
        Ok(handle)
    }

    /// Gives a stream all nodes, between a beginning and an end that keep the stream's order. They are operations like
    /// any others, so they run in any order that the graph allows, and beside other streams' work.
    pub(super) fn launch_graph(&mut self, executable: u64, stream: u64) -> Status<()> {
        let stream = self.own_stream(stream)?;
        let Executable { nodes, last } = self.executables.get(&executable).ok_or(Code::INVALID_HANDLE)?;
        let (nodes, last) = (nodes.clone(), *last);
        if let Some(capture) = self.streams[&stream].capture {
            let text = "the simulator does not know child graphs".to_string();
            self.invalidate(capture, Code::NOT_SUPPORTED);
            return Err(self.explain(Code::NOT_SUPPORTED, text));
        }
        let begin = self.give_after(stream, last.into_iter().collect(), Work::Join)?;
        let mut ids = Vec::with_capacity(nodes.len());
        for node in nodes.iter() {
            let mut after: Vec<Id> = node.after.iter().map(|&before| ids[before]).collect();
            after.push(begin);
            ids.push(self.enqueue(node.context, stream, after, node.work.clone()));
        }
        let end = self.give_after(stream, ids, Work::Join)?;
        if let Some(executable) = self.executables.get_mut(&executable) {
            executable.last = Some(end);
        }
        Ok(())
    }

    pub(super) fn destroy_graph(&mut self, graph: u64) -> Status<()> {
        self.graphs.remove(&graph).map(drop).ok_or(Code::INVALID_HANDLE)
    }

    /// Launches that were given still run.
    pub(super) fn destroy_executable(&mut self, executable: u64) -> Status<()> {
        self.executables.remove(&executable).map(drop).ok_or(Code::INVALID_HANDLE)
    }
}
