//! The memory planner: arena offsets from lifetimes.
//!
//! Buffers that an operator may take over in place become one block. Blocks are placed first-fit in several orders, and the
//! order is then improved by seeded exchanges until the peak equals the lower bound or the tries run out. The same buffers give
//! the same plan on every machine.

pub mod bands;
mod buffers;
mod recompute;
mod scratch;
mod windows;

pub use buffers::{lower_bound_bytes, planned_bytes, slot_buffers};
pub use recompute::{RECOMPUTED, once_more, recompute};
pub use scratch::{Arena, plan_arena};
pub use windows::{Window, Windows};

/// Alignment of offsets, bytes.
pub const ALIGN: usize = 4;
/// Exchanges tried when no simple order reaches the lower bound.
const EXCHANGES: usize = 4_000;

/// A buffer with its lifetime in operator indices, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Size.
    pub bytes: usize,
    /// Operator that writes it.
    pub def: usize,
    /// Last operator that reads it.
    pub last: usize,
    /// A buffer of the same size that ends where this one begins and may be taken over.
    pub takes_over: Option<usize>,
}

/// Where each buffer lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Offset of each buffer, bytes.
    pub offsets: Vec<usize>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// The largest sum of live buffers at any operator: no plan can be smaller.
    pub lower_bound_bytes: usize,
}

/// Buffers that share memory, as one.
#[derive(Debug, Clone, Copy)]
struct Block {
    bytes: usize,
    def: usize,
    last: usize,
}

/// The largest sum of live buffers at any operator: what the best plan can reach.
pub fn lower_bound(buffers: &[Buffer]) -> usize {
    live_bytes(buffers).into_iter().max().unwrap_or(0)
}

/// The sum of live buffers, by operator.
fn live_bytes(buffers: &[Buffer]) -> Vec<usize> {
    live(&merge(buffers).0)
}

/// Plans the arena.
pub fn plan(buffers: &[Buffer]) -> MemoryPlan {
    plan_within(buffers, EXCHANGES)
}

/// The same with at most so many exchanges.
pub fn plan_within(buffers: &[Buffer], exchanges: usize) -> MemoryPlan {
    let (blocks, block_of) = merge(buffers);
    let lower_bound_bytes = live(&blocks).into_iter().max().unwrap_or(0);
    let mut best = simple_orders(&blocks)
        .into_iter()
        .map(|order| place(&blocks, order))
        .min_by_key(|p| p.peak);
    if let Some(placed) = best.as_mut() {
        improve(&blocks, placed, lower_bound_bytes, exchanges);
    }
    let (offsets, arena_bytes) = best.map_or((vec![], 0), |p| (p.offsets, p.peak));
    MemoryPlan {
        offsets: block_of.iter().map(|&b| offsets[b]).collect(),
        arena_bytes,
        lower_bound_bytes,
    }
}

fn merge(buffers: &[Buffer]) -> (Vec<Block>, Vec<usize>) {
    let mut blocks: Vec<Block> = Vec::new();
    let mut block_of = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        let bytes = buffer.bytes.next_multiple_of(ALIGN);
        let own = Block {
            bytes,
            def: buffer.def,
            last: buffer.last,
        };
        let taken = buffer.takes_over.filter(|&o| {
            let other: &Buffer = &buffers[o];
            o < block_of.len() && other.last == buffer.def && other.bytes == buffer.bytes
        });
        match taken {
            Some(other) => {
                let block: usize = block_of[other];
                blocks[block].last = blocks[block].last.max(own.last);
                block_of.push(block);
            }
            None => {
                block_of.push(blocks.len());
                blocks.push(own);
            }
        }
    }
    (blocks, block_of)
}

fn live(blocks: &[Block]) -> Vec<usize> {
    let ops = blocks.iter().map(|b| b.last + 1).max().unwrap_or(0);
    let mut live = vec![0; ops];
    for block in blocks {
        live[block.def..=block.last]
            .iter_mut()
            .for_each(|sum| *sum += block.bytes);
    }
    live
}

struct Placed {
    order: Vec<usize>,
    offsets: Vec<usize>,
    peak: usize,
}

fn simple_orders(blocks: &[Block]) -> Vec<Vec<usize>> {
    let sorted = |key: &dyn Fn(&Block) -> (usize, usize)| {
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|&i| (key(&blocks[i]), i));
        order
    };
    let down = |v: usize| usize::MAX - v;
    vec![
        sorted(&|b| (down(b.bytes), b.def)),
        sorted(&|b| (down(b.last - b.def), down(b.bytes))),
        sorted(&|b| (down((b.last - b.def + 1) * b.bytes), b.def)),
        sorted(&|b| (b.def, down(b.bytes))),
        sorted(&|b| (b.last, down(b.bytes))),
    ]
}

/// First fit in the given order: the lowest gap between the blocks that live at the same time.
fn place(blocks: &[Block], order: Vec<usize>) -> Placed {
    let mut offsets = vec![usize::MAX; blocks.len()];
    let mut peak = 0;
    let mut busy = Vec::new();
    for &i in &order {
        let block = blocks[i];
        busy.clear();
        for (other, &offset) in blocks.iter().zip(&offsets) {
            let lives = offset != usize::MAX && other.def <= block.last && block.def <= other.last;
            if lives {
                busy.push((offset, offset + other.bytes));
            }
        }
        busy.sort_unstable();
        let mut at = 0;
        for &(start, end) in &busy {
            if at + block.bytes <= start {
                break;
            }
            at = at.max(end);
        }
        offsets[i] = at;
        peak = peak.max(at + block.bytes);
    }
    Placed { order, offsets, peak }
}

fn improve(blocks: &[Block], best: &mut Placed, bound: usize, exchanges: usize) {
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut draw = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % n.max(1) as u64) as usize
    };
    for _ in 0..exchanges {
        if best.peak <= bound || blocks.len() < 2 {
            return;
        }
        let mut order = best.order.clone();
        let moved = order.remove(draw(blocks.len()));
        order.insert(draw(blocks.len()), moved);
        let tried = place(blocks, order);
        if tried.peak <= best.peak {
            *best = tried;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: usize, def: usize, last: usize) -> Buffer {
        Buffer {
            bytes,
            def,
            last,
            takes_over: None,
        }
    }

    fn assert_apart(buffers: &[Buffer], plan: &MemoryPlan) {
        for (i, a) in buffers.iter().enumerate() {
            for (j, b) in buffers.iter().enumerate().take(i) {
                let together = a.def <= b.last && b.def <= a.last && a.takes_over != Some(j);
                let meet = plan.offsets[i] < plan.offsets[j] + b.bytes && plan.offsets[j] < plan.offsets[i] + a.bytes;
                assert!(!(together && meet), "buffers {j} and {i} meet");
            }
        }
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let buffers: Vec<_> = (0..10).map(|i| buffer(100, i, i + 1)).collect();
        let plan = plan(&buffers);
        assert_apart(&buffers, &plan);
        assert_eq!((plan.arena_bytes, plan.lower_bound_bytes), (200, 200));
    }

    #[test]
    fn taking_over_shares_the_block() {
        let mut buffers = vec![buffer(64, 0, 1), buffer(64, 1, 2), buffer(32, 0, 2)];
        buffers[1].takes_over = Some(0);
        let plan = plan(&buffers);
        assert_eq!(plan.offsets[0], plan.offsets[1]);
        assert_eq!(plan.arena_bytes, 96);
    }

    #[test]
    fn a_u_shape_reaches_its_bound() {
        // Skips live across the middle, as in a U-Net.
        let sizes = [4096, 2048, 1024, 512];
        let mut buffers = Vec::new();
        for (i, size) in sizes.into_iter().enumerate() {
            buffers.push(buffer(size, i, 8 - i));
            buffers.push(buffer(size, i, i + 1));
            buffers.push(buffer(size, 8 - i, 9 - i));
        }
        let plan = plan(&buffers);
        assert_apart(&buffers, &plan);
        assert!(plan.arena_bytes * 20 <= plan.lower_bound_bytes * 21, "{plan:?}");
    }
}
