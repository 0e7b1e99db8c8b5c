//! Pickles read as data (protocols 2 to 5, `Lib/pickle.py`): nothing of them is run.
//!
//! A pickle is a program for a stack machine that can call any function by name. Here a name makes nothing but the few things that
//! a file of tensors is made of; any other is refused by that name. Items lie in one list and refer to each other by index, so that
//! a short pickle cannot grow by repeating itself.

use super::item::{Item, call, persistent};
use mote_graph::config::printable;
use std::collections::BTreeMap;

/// Most items of a pickle.
const MOST_ITEMS: usize = 4 << 20;

/// Why a pickle is refused.
pub(super) type Result<T> = std::result::Result<T, String>;

/// The items of a pickle, and which of them is the whole.
#[derive(Debug)]
pub(super) struct Items {
    pub list: Vec<Item>,
    pub root: usize,
}

/// The machine.
struct Machine<'a> {
    rest: &'a [u8],
    items: Vec<Item>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memo: BTreeMap<usize, usize>,
}

/// Reads a pickle.
pub(super) fn read(bytes: &[u8]) -> Result<Items> {
    let mut machine = Machine {
        rest: bytes,
        items: vec![],
        stack: vec![],
        marks: vec![],
        memo: BTreeMap::new(),
    };
    loop {
        let opcode = machine.byte()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok(Items {
                list: machine.items,
                root,
            });
        }
        machine.step(opcode)?;
        if machine.items.len() > MOST_ITEMS {
            return Err(format!("it has more than {MOST_ITEMS} items"));
        }
    }
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'\x80' => self.take(1).map(drop),
            b'\x95' => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'N' => self.push(Item::None),
            b'\x88' => self.push(Item::Int(1)),
            b'\x89' => self.push(Item::Int(0)),
            b'K' => {
                let value = self.byte()?;
                self.push(Item::Int(value.into()))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Item::Int(value.into()))
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Item::Int(value.into()))
            }
            b'\x8a' => self.long(),
            b'G' => {
                self.take(8)?;
                self.push(Item::Other)
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.text(length)
            }
            b'\x8c' => {
                let length = self.byte()?.into();
                self.text(length)
            }
            b'\x8d' => {
                let length = self.length()?;
                self.text(length)
            }
            b'U' | b'C' => {
                let length = self.byte()?.into();
                self.blob(length)
            }
            b'T' | b'B' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.blob(length)
            }
            b'\x8e' | b'\x96' => {
                let length = self.length()?;
                self.blob(length)
            }
            b'}' => self.push(Item::Dict(vec![])),
            b']' | b'\x8f' => self.push(Item::List(vec![])),
            b')' => self.push(Item::Tuple(vec![])),
            b'\x85' => self.tuple(1),
            b'\x86' => self.tuple(2),
            b'\x87' => self.tuple(3),
            b't' => {
                let parts = self.marked()?;
                self.push(Item::Tuple(parts))
            }
            b'l' | b'\x91' => {
                let parts = self.marked()?;
                self.push(Item::List(parts))
            }
            b'd' => {
                let parts = self.marked()?;
                self.push(Item::Dict(pairs(&parts)))
            }
            b'a' | b'e' | b'\x90' => {
                let parts = if opcode == b'a' {
                    vec![self.pop()?]
                } else {
                    self.marked()?
                };
                match self.top()? {
                    Item::List(list) => list.extend(parts),
                    Item::Other => {}
                    _ => return Err("it appends to what is no list".to_string()),
                }
                Ok(())
            }
            b's' | b'u' => {
                let parts = if opcode == b's' {
                    let (value, key) = (self.pop()?, self.pop()?);
                    vec![key, value]
                } else {
                    self.marked()?
                };
                match self.top()? {
                    Item::Dict(dict) => dict.extend(pairs(&parts)),
                    Item::Other => {}
                    _ => return Err("it sets keys of what is no dictionary".to_string()),
                }
                Ok(())
            }
            b'q' => {
                let at = self.byte()?.into();
                self.remember(at)
            }
            b'r' => {
                let at = u32::from_le_bytes(self.array()?) as usize;
                self.remember(at)
            }
            b'\x94' => self.remember(self.memo.len()),
            b'h' => {
                let at = self.byte()?.into();
                self.recall(at)
            }
            b'j' => {
                let at = u32::from_le_bytes(self.array()?) as usize;
                self.recall(at)
            }
            b'0' => self.pop().map(drop),
            b'1' => self.marked().map(drop),
            b'2' => {
                let top = *self.stack.last().ok_or("it ends too early")?;
                self.stack.push(top);
                Ok(())
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Item::Global(format!("{module}.{name}")))
            }
            b'\x93' => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Item::Text(name), Item::Text(module)) = (&self.items[name], &self.items[module]) else {
                    return Err("it names a global by what is no text".to_string());
                };
                let global = format!("{module}.{name}");
                self.push(Item::Global(global))
            }
            b'R' | b'\x81' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let made = call(&self.items, function, arguments)?;
                self.push(made)
            }
            b'b' => {
                // State of an object: of a parameter or an ordered dictionary it says nothing about tensors.
                let _ = self.pop()?;
                match self.top()? {
                    Item::Other | Item::Dict(_) | Item::Tensor(_) => Ok(()),
                    _ => Err("it gives state to what has none".to_string()),
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = persistent(&self.items, id)?;
                self.push(storage)
            }
            other => Err(format!(
                "its opcode 0x{other:02x} is not one that files of tensors have"
            )),
        }
    }

    fn push(&mut self, item: Item) -> Result<()> {
        self.items.push(item);
        self.stack.push(self.items.len() - 1);
        Ok(())
    }

    fn pop(&mut self) -> Result<usize> {
        if self.marks.last().is_some_and(|mark| *mark >= self.stack.len()) {
            return Err("it takes an item from before a mark".to_string());
        }
        self.stack
            .pop()
            .ok_or_else(|| "it takes an item from an empty stack".to_string())
    }

    fn top(&mut self) -> Result<&mut Item> {
        let top = *self.stack.last().ok_or("it takes an item from an empty stack")?;
        Ok(&mut self.items[top])
    }

    fn marked(&mut self) -> Result<Vec<usize>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self
            .stack
            .split_off(mark.ok_or("it has no mark where one is asked for")?))
    }

    fn tuple(&mut self, count: usize) -> Result<()> {
        let mut parts = vec![];
        for _ in 0..count {
            parts.push(self.pop()?);
        }
        parts.reverse();
        self.push(Item::Tuple(parts))
    }

    fn remember(&mut self, at: usize) -> Result<()> {
        let top = *self.stack.last().ok_or("it remembers nothing")?;
        self.memo.insert(at, top);
        Ok(())
    }

    fn recall(&mut self, at: usize) -> Result<()> {
        let item = *self.memo.get(&at).ok_or("it recalls what it has not remembered")?;
        self.stack.push(item);
        Ok(())
    }

    fn long(&mut self) -> Result<()> {
        let count = self.byte()?.into();
        let bytes = self.take(count)?;
        if count > 8 {
            return self.push(Item::Other);
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut word = [if negative { 0xFF } else { 0 }; 8];
        word[..count].copy_from_slice(bytes);
        self.push(Item::Int(i64::from_le_bytes(word)))
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Item::Text(text))
    }

    fn blob(&mut self, length: usize) -> Result<()> {
        self.take(length)?;
        self.push(Item::Other)
    }

    fn line(&mut self) -> Result<String> {
        let end = self
            .rest
            .iter()
            .take(1000)
            .position(|byte| *byte == b'\n')
            .ok_or("a name does not end")?;
        let line = printable(&String::from_utf8_lossy(&self.rest[..end]));
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    fn length(&mut self) -> Result<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| "a length is beyond memory".to_string())
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }
}

fn pairs(parts: &[usize]) -> Vec<(usize, usize)> {
    parts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}
