//! What several devices do for a list: what each one runs, and when copies are started and waited for.
//!
//! A device gets what it has to do up to the next exchange as one part of the list; then the copies are started, and a
//! device waits for them only before an operation that touches what is under way, and for no later ones. What stands
//! between (the gradients of weights, behind an exchange of gradients) is computed while copies run, and so are other
//! slices of the batch, where exchanges are cut (`slices.rs`).
//!
//! No copy is under way when a list begins, and anything may have been touched before. So its tasks depend on operations
//! and the number of images alone.

use crate::Error;
use crate::ops::{Access, Exchange, List, Op, Operation, Pass, Planned, Region, Span, Transfer};

/// What one device is told, or two. One thread carries tasks out in order.
pub(crate) enum Task {
    /// A device runs a part of the list.
    Run { shard: usize, list: List, operations: Vec<Planned> },
    /// A device copies to another one: see [`Shard::send`](crate::shards::Shard::send).
    Send { transfer: Transfer, len: usize, behind_receiver: bool },
    /// A device waits for copies: see [`Shard::settle`](crate::shards::Shard::settle).
    Settle { shard: usize, receiver: usize, left: usize },
}

/// The tasks of a list for so many devices, in a step of so many images.
///
/// # Errors
/// [`Error::NoShard`], and [`Error::Shape`] of an exchange.
pub(crate) fn tasks(list: Vec<Planned>, pass: Pass, images: usize, devices: usize) -> Result<Vec<Task>, Error> {
    let states = (0..devices).map(|shard| State::new(shard, devices)).collect();
    let mut schedule = Schedule { pass, states, tasks: Vec::new() };
    for planned in list {
        match &planned.op {
            Op::Exchange(exchange) => schedule.exchange(exchange, planned.images.unwrap_or(images))?,
            _ => schedule.operation(planned)?,
        }
    }
    (0..devices).for_each(|shard| schedule.run(shard));
    Ok(schedule.tasks)
}

/// The shard of an operation that is no exchange: its operands are all on one.
pub(crate) fn shard_of(operands: &[(Access, Span)]) -> usize {
    operands.first().map_or(0, |(_, span)| span.shard)
}

/// A shard, if there is a device for it.
///
/// # Errors
/// [`Error::NoShard`].
pub(crate) fn known(shard: usize, devices: usize) -> Result<usize, Error> {
    if shard < devices { Ok(shard) } else { Err(Error::NoShard { shard, devices }) }
}

/// Tasks so far, and what follows from them.
struct Schedule {
    pass: Pass,
    states: Vec<State>,
    tasks: Vec<Task>,
}

/// Where a device is.
struct State {
    /// What it has to do before it waits.
    waiting: Vec<Planned>,
    /// For each receiver, what copies to that one read or write here, oldest first.
    under_way: Vec<Vec<(Access, Span)>>,
    /// What it was given operations on that copies to it are not behind of.
    touched: Vec<Span>,
}

impl State {
    fn new(shard: usize, devices: usize) -> State {
        let whole = |region| Span { region, start: 0, len: usize::MAX, shard };
        State { waiting: Vec::new(), under_way: vec![Vec::new(); devices], touched: Region::ALL.map(whole).to_vec() }
    }

    /// The device is given an operation on these spans, or comes behind a copy of them.
    fn touch(&mut self, operands: impl IntoIterator<Item = (Access, Span)>) {
        self.touched.extend(operands.into_iter().map(|(_, span)| span));
    }
}

impl Schedule {
    fn operation(&mut self, planned: Planned) -> Result<(), Error> {
        let operands = planned.op.operands();
        let shard = known(shard_of(&operands), self.states.len())?;
        self.settle(shard, &operands);
        self.states[shard].touch(operands);
        self.states[shard].waiting.push(planned);
        Ok(())
    }

    fn exchange(&mut self, exchange: &Exchange, images: usize) -> Result<(), Error> {
        exchange.check_shapes(images)?;
        let devices = self.states.len();
        (0..devices).for_each(|shard| self.run(shard));
        for &transfer in &exchange.transfers {
            let Transfer { from, to } = transfer;
            known(from.shard.max(to.shard), devices)?;
            let ends = [(Access::Read, from), (Access::Write, to)];
            // Earlier copies may still read where this one writes: memory is used again.
            ends.iter().for_each(|end| self.settle(end.1.shard, std::slice::from_ref(end)));
            let touched = &mut self.states[to.shard].touched;
            let behind_receiver = touched.iter().any(|span| span.overlaps(&to));
            if behind_receiver {
                touched.clear();
            }
            self.tasks.push(Task::Send { transfer, len: exchange.len * images, behind_receiver });
            ends.iter().for_each(|end| self.states[end.1.shard].under_way[to.shard].push(*end));
        }
        Ok(())
    }

    /// Lets a device wait for the copies that an operation meets: of those to each receiver, up to the last that writes
    /// what the operation touches, or reads what it writes.
    fn settle(&mut self, shard: usize, operands: &[(Access, Span)]) {
        for receiver in 0..self.states.len() {
            let copies = &self.states[shard].under_way[receiver];
            let meets = |&(copy, other): &(Access, Span)| {
                let conflicts = |access: Access| copy == Access::Write || access != Access::Read;
                operands.iter().any(|(access, span)| conflicts(*access) && span.overlaps(&other))
            };
            let Some(last) = copies.iter().rposition(meets) else { continue };
            self.run(shard);
            let state = &mut self.states[shard];
            let left = state.under_way[receiver].split_off(last + 1);
            self.tasks.push(Task::Settle { shard, receiver, left: left.len() });
            let over = std::mem::replace(&mut state.under_way[receiver], left);
            state.touch(over);
        }
    }

    /// Lets a device run what it has to do, if anything.
    fn run(&mut self, shard: usize) {
        let operations = std::mem::take(&mut self.states[shard].waiting);
        if !operations.is_empty() {
            let list = List { pass: self.pass, part: self.tasks.len() };
            self.tasks.push(Task::Run { shard, list, operations });
        }
    }
}
