//! QEMU's log of a run with one instruction a block: each one's disassembly when it is met first, then its address each time that it runs.

use std::collections::HashMap;

use super::{Bound, Class, Instruction, Kind, Pipeline};

/// What ran.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Traced {
    /// Instructions.
    pub instructions: u64,
    /// Cycles, the least and the most; of two cores those of both, one after the other.
    pub cycles: [f64; 2],
    /// The same where two cores work at the same time, each waiting for the other's half; as `cycles` of one core.
    pub together: [f64; 2],
}

/// An instruction, and the address behind it.
type Met = (Instruction, u32);

/// A core of the machine.
struct Core {
    clocks: [Pipeline; 2],
    /// The one that runs: whether its branch is taken is seen when the next one runs.
    running: Option<Met>,
    /// Cycles when the halves began that are being worked at, and those of its own half once it is done.
    began: [f64; 2],
    half: Option<[f64; 2]>,
}

impl Core {
    fn new(kind: Kind) -> Self {
        Self {
            clocks: [Bound::Least, Bound::Most].map(|bound| Pipeline::new(kind, bound)),
            running: None,
            began: [0.0; 2],
            half: None,
        }
    }

    fn cycles(&self) -> [f64; 2] {
        self.clocks.each_ref().map(Pipeline::cycles)
    }

    /// Begins a half.
    fn begin(&mut self) {
        (self.began, self.half) = (self.cycles(), None);
    }

    /// Ends it.
    fn end(&mut self) {
        let now = self.cycles();
        self.half = Some([now[0] - self.began[0], now[1] - self.began[1]]);
    }
}

/// Takes the log apart as it comes.
///
/// Two cores work in turns there. The first one calls the second (`sev`) when it has given it a half, and says when its own is done (`yield`); the second one
/// calls when its half is done. At the same time they would take the longer of the two.
pub(crate) struct Tracer {
    kind: Kind,
    cores: [Core; 2],
    met: HashMap<u32, Met>,
    instructions: u64,
    /// The core that the last line was of.
    last: usize,
    /// Whether two halves are being worked at.
    open: bool,
    /// What is won by working at the same time.
    won: [f64; 2],
    /// A line that is not whole.
    rest: Vec<u8>,
    /// What was no part of the log.
    pub other: Vec<u8>,
}

/// Of what is no part of the log, what is kept.
const MOST_OTHER: usize = 64 * 1024;

impl Tracer {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            cores: [Core::new(kind), Core::new(kind)],
            met: HashMap::new(),
            instructions: 0,
            last: 0,
            open: false,
            won: [0.0; 2],
            rest: Vec::new(),
            other: Vec::new(),
        }
    }

    /// Takes the next bytes of the log.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut from = bytes;
        while let Some(end) = from.iter().position(|&byte| byte == b'\n') {
            let (line, after) = (&from[..end], &from[end + 1..]);
            if self.rest.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole);
                whole.clear();
                self.rest = whole;
            }
            from = after;
        }
        self.rest.extend_from_slice(from);
    }

    /// What ran.
    pub fn finish(mut self) -> Traced {
        self.next(0, None);
        self.next(1, None);
        let [first, second] = self.cores.each_ref().map(Core::cycles);
        let cycles = [first[0] + second[0], first[1] + second[1]];
        Traced {
            instructions: self.instructions,
            cycles,
            together: [cycles[0] - self.won[0], cycles[1] - self.won[1]],
        }
    }

    fn line(&mut self, line: &[u8]) {
        if line.starts_with(b"Trace ") {
            if let Some(at) = ran(line) {
                self.last = usize::from(line.starts_with(b"Trace 1"));
                self.next(self.last, Some(at));
            }
        } else if line.starts_with(b"Stopped execution") {
            // It did not run after all: it is named again when it does.
            self.cores[self.last].running = None;
        } else if line.starts_with(b"0x") {
            self.meet(line);
        } else if !(line.is_empty()
            || line.starts_with(b"---")
            || line.starts_with(b"IN:")
            || line.starts_with(b"Priv:"))
        {
            let room = MOST_OTHER.saturating_sub(self.other.len());
            self.other.extend(line.iter().chain(b"\n").take(room));
        }
    }

    /// Runs what stands, now that it is known what came behind.
    fn next(&mut self, core: usize, at: Option<u32>) {
        if let Some((instruction, behind)) = self.cores[core].running.take() {
            let taken = at.is_some_and(|at| at != behind);
            for clock in &mut self.cores[core].clocks {
                clock.run(&instruction, taken);
            }
            self.instructions += 1;
            self.joins(core, instruction.class);
        }
        self.cores[core].running = at.and_then(|at| self.met.get(&at).copied());
    }

    /// Notes where halves begin and end.
    fn joins(&mut self, core: usize, class: Class) {
        match (core, class) {
            (0, Class::Signal) => {
                self.open = true;
                self.cores.iter_mut().for_each(Core::begin);
            }
            (0, Class::Yield) | (1, Class::Signal) if self.open => self.cores[core].end(),
            _ => return,
        }
        if let [Some(here), Some(there)] = self.cores.each_ref().map(|core| core.half) {
            // The shorter one costs nothing.
            for end in 0..2 {
                self.won[end] += here[end].min(there[end]);
            }
            self.open = false;
            self.cores.iter_mut().for_each(Core::begin);
        }
    }

    /// A line such as `0x0000abcd:  f102 0204  add.w    r2, r2, #4`.
    fn meet(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let Some((at, rest)) = text.split_once(':') else { return };
        let Ok(at) = u32::from_str_radix(at.trim_start_matches("0x"), 16) else {
            return;
        };
        let (mut code, mut rest) = (0, rest.trim_start());
        while let Some((word, after)) = rest.split_once(char::is_whitespace) {
            if !matches!(word.len(), 4 | 8) || !word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                break;
            }
            (code, rest) = (code + word.len() as u32 / 2, after.trim_start());
        }
        let instruction = Instruction::parse(self.kind, rest, code == 2);
        self.met.insert(at, (instruction, at.wrapping_add(code)));
    }
}

/// The address of a line such as `Trace 0: 0x7f80 [00000000/0000abcd/00000110/ff000200] name`.
fn ran(line: &[u8]) -> Option<u32> {
    let from = line.iter().position(|&byte| byte == b'[')?;
    let inside = line.get(from + 1..)?;
    let digits = inside.get(inside.iter().position(|&byte| byte == b'/')? + 1..)?;
    let mut at = 0u32;
    for &byte in digits.iter().take_while(|byte| **byte != b'/') {
        at = at << 4 | char::from(byte).to_digit(16)?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_taken_apart_however_it_comes() {
        let log = b"----------------\nIN: main\n0x00000010:  2001       movs     r0, #1\n\n\
            Trace 0: 0x7f [00000000/00000010/00000110/ff000200] main\n\
            0x00000012:  f7ff fffe  bl       #0x10\nwarning: none\n\
            Trace 0: 0x7f [00000000/00000012/00000110/ff000200] main\nTrace 0: 0x7f [00000000/00000010/0/0] main\n\
            Stopped execution of TB chain before 0x7f [00000010] main\nTrace 0: 0x7f [00000000/00000010/0/0] main\n";
        for size in [1, 7, log.len()] {
            let mut tracer = Tracer::new(Kind::M0);
            log.chunks(size).for_each(|piece| tracer.feed(piece));
            assert_eq!(tracer.other, b"warning: none\n");
            let traced = tracer.finish();
            assert_eq!((traced.instructions, traced.cycles), (3, [6.0, 6.0]));
        }
    }
}
