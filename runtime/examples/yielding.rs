//! An async task that gives the executor its turn between two operators: Embassy, RTIC 2, or any other. Only `core::future` is used.
//!
//! ```text
//! cargo run --release -p mote-runtime --example yielding -- model.mote
//! ```

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll as Turn, Waker};
use std::error::Error;

use mote_runtime::{Config, Model, Poll, Run, RunError, Start, arena_bytes};

/// Once to the back of the executor's queue: `embassy_futures::yield_now` does the same.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context: &mut Context<'_>| {
        if yielded {
            return Turn::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Turn::Pending
    })
    .await;
}

/// Runs to the end of the image, `count` operators between two yields.
pub async fn draw<M: AsRef<[u8]> + AsMut<[u8]>>(run: &mut Run<'_, M>, count: u16) -> Result<(), RunError> {
    while run.poll(count)? != Poll::Finished {
        yield_now().await;
    }
    Ok(())
}

/// Drives `future` to its end as the only task; gives its value and how often other tasks would have had their turn.
pub fn block_on<T>(future: impl Future<Output = T>) -> (T, u32) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let mut turns = 0;
    loop {
        match future.as_mut().poll(&mut context) {
            Turn::Ready(value) => return (value, turns),
            Turn::Pending => turns += 1,
        }
    }
}

#[allow(dead_code, reason = "a test runs the functions above")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("give a model file: yielding model.mote")?;
    let file = std::fs::read(path)?;
    let mut memory = vec![0u8; file.len() + 16];
    let start = memory.as_ptr().align_offset(16);
    memory[start..start + file.len()].copy_from_slice(&file);
    let model = Model::parse(&memory[start..start + file.len()])?;
    let mut config = Config::of(model.header(), 20);
    config.class = (model.header().classes > 0).then_some(0);
    let needed = arena_bytes(&model, &config);
    let mut arena = vec![0u8; needed + 16];
    let start = arena.as_ptr().align_offset(16);
    let mut run = Run::new(model, &mut arena[start..start + needed]);
    run.start(&config, &Start::Seed)?;
    let (drawn, turns) = block_on(draw(&mut run, 1));
    drawn?;
    println!("{:016x} after {turns} yields", run.digest());
    Ok(())
}
