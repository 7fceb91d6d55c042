//! The part of Python's pickles that a state dict is made of. Nothing is ever executed: a pickle is a program for a
//! small stack machine, and this machine knows no instruction or name but those that plain values and tensors need.

use std::collections::HashMap;

use super::objects::{Global, Object, Objects, Value};

/// How messages begin that are about what the file wants, not about damage.
const REFUSED: &str = "refused: ";

/// What to do with a file that holds more than weights.
const ADVICE: &str = "only tensors and plain values are read, and nothing is executed; \
    in Python, save the weights alone: torch.save(model.state_dict(), FILE)";

/// Runs a pickle: the value of the whole, and the objects that it is made of.
///
/// # Errors
/// What is wrong with it, or what it asks for and does not get.
pub(super) fn read(bytes: &[u8]) -> Result<(Value, Objects), String> {
    let mut machine = Machine { bytes, ..Machine::default() };
    loop {
        let position = machine.position;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok((root, machine.objects)),
            Err(reason) if reason.starts_with(REFUSED) => return Err(reason),
            Err(reason) => return Err(format!("its pickle is damaged at byte {position}: {reason}")),
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    stack: Vec<Value>,
    /// Heights of the stack that are remembered until a collection is made of what lies above.
    marks: Vec<usize>,
    // A map, since a pickle may choose any number of 32 bits.
    memo: HashMap<u32, Value>,
    objects: Objects,
}

impl<'a> Machine<'a> {
    /// Follows the next instruction; the last one returns the value of the whole.
    fn step(&mut self) -> Result<Option<Value>, String> {
        match self.byte()? {
            // The protocol's version and frames: every instruction says itself whether it is known.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'.' => return self.stop().map(Some),
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Other),
            b'G' => {
                self.take(8)?;
                self.push(Value::Other);
            }
            b'K' => self.number(1)?,
            b'M' => self.number(2)?,
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Integer(value.into()));
            }
            0x8a => {
                let length = self.length(1)?;
                self.long(length)?;
            }
            0x8b => {
                let length = self.length(4)?;
                self.long(length)?;
            }
            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.push(top);
            }
            b']' | b')' => self.add(Object::Items(Vec::new()))?,
            b'}' => self.add(Object::Dict(Vec::new()))?,
            b't' | b'l' => {
                let items = self.pop_to_mark()?;
                self.add(Object::Items(items))?;
            }
            n @ 0x85..=0x87 => {
                let n = usize::from(n - 0x84);
                let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                self.add(Object::Items(items))?;
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                let entries = pairs(&items)?;
                self.add(Object::Dict(entries))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(&items)?;
            }
            b'q' => {
                let index = self.length(1)?;
                self.memorize(index)?;
            }
            b'r' => {
                let index = self.length(4)?;
                self.memorize(index)?;
            }
            0x94 => self.memorize(self.memo.len())?,
            b'h' => {
                let index = self.length(1)?;
                self.recall(index)?;
            }
            b'j' => {
                let index = self.length(4)?;
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            0x93 => self.global_of_texts()?,
            b'Q' => self.storage()?,
            b'R' => self.call()?,
            b'b' => self.set_state()?,
            other => {
                return Err(format!(
                    "{REFUSED}it has the instruction 0x{other:02x}, which no state dict needs; {ADVICE}"
                ));
            }
        }
        Ok(None)
    }

    fn stop(&mut self) -> Result<Value, String> {
        let root = self.pop()?;
        if self.stack.is_empty() && self.marks.is_empty() && self.position == self.bytes.len() {
            Ok(root)
        } else {
            Err("more than one value".to_owned())
        }
    }

    // The bytes.

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..n).ok_or("the bytes end too early")?;
        self.position += n;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    /// An unsigned number of `n` bytes, at most 8.
    fn length(&mut self, n: usize) -> Result<usize, String> {
        let mut bytes = [0; 8];
        bytes[..n].copy_from_slice(self.take(n)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "a length is too large".to_owned())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.position..];
        let n = rest.iter().position(|&byte| byte == b'\n').ok_or("the bytes end within a name")?;
        let line = utf8(self.take(n)?)?;
        self.take(1)?;
        Ok(line)
    }

    // Plain values.

    fn number(&mut self, n: usize) -> Result<(), String> {
        let value = self.length(n)? as i64; // of at most 2 bytes
        self.push(Value::Integer(value));
        Ok(())
    }

    /// An integer in two's complement.
    fn long(&mut self, n: usize) -> Result<(), String> {
        let bytes = self.take(n)?;
        let value = if n <= 8 {
            let fill = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xff } else { 0 };
            let mut all = [fill; 8];
            all[..n].copy_from_slice(bytes);
            Value::Integer(i64::from_le_bytes(all))
        } else {
            Value::Other
        };
        self.push(value);
        Ok(())
    }

    fn text(&mut self, n: usize) -> Result<(), String> {
        let length = self.length(n)?;
        let text = utf8(self.take(length)?)?;
        self.add(Object::Text(text))
    }

    // The stack and the memo.

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn add(&mut self, object: Object) -> Result<(), String> {
        let value = self.objects.add(object)?;
        self.push(value);
        Ok(())
    }

    /// The topmost value, which stays.
    fn top(&self) -> Result<Value, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or_else(|| "a value is missing".to_owned())
    }

    fn pop(&mut self) -> Result<Value, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    /// Keeps the topmost value under a number.
    fn memorize(&mut self, index: usize) -> Result<(), String> {
        let top = self.top()?;
        let index = u32::try_from(index).map_err(|_| "too many values".to_owned())?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<(), String> {
        let value = u32::try_from(index).ok().and_then(|index| self.memo.get(&index).copied());
        let value = value.ok_or_else(|| format!("value {index} is asked for and was never kept"))?;
        self.push(value);
        Ok(())
    }

    // Collections: the one that is added to stays on the stack.

    fn append(&mut self, new: &[Value]) -> Result<(), String> {
        let top = self.top()?;
        match self.objects.get_mut(top) {
            Some(Object::Items(items)) => items.extend(new),
            _ => return Err("items for what is no list".to_owned()),
        }
        Ok(())
    }

    fn insert(&mut self, new: &[Value]) -> Result<(), String> {
        let (new, top) = (pairs(new)?, self.top()?);
        match self.objects.get_mut(top) {
            Some(Object::Dict(entries)) => entries.extend(new),
            _ => return Err("entries for what is no dict".to_owned()),
        }
        Ok(())
    }

    // What tensors need.

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        match Global::named(module, name) {
            Some(global) => self.add(Object::Global(global)),
            None => Err(format!("{REFUSED}it asks for `{}.{}`; {ADVICE}", short(module), short(name))),
        }
    }

    fn global_of_texts(&mut self) -> Result<(), String> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |value| self.objects.text(value).map(short).ok_or("a name is no text");
        let (module, name) = (text(module)?, text(name)?);
        self.global(&module, &name)
    }

    fn storage(&mut self) -> Result<(), String> {
        let description = self.pop()?;
        let storage = self.objects.describe_storage(description);
        self.add(Object::Storage(storage.ok_or("expected the description of a storage")?))
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Some(&Object::Global(function)) = self.objects.get(function) else {
            return Err("a call of what is no function".to_owned());
        };
        let arguments = self.objects.items(arguments).ok_or("a call without arguments")?;
        match (function, arguments) {
            (Global::OrderedDict, []) => self.add(Object::Dict(Vec::new())),
            (
                Global::RebuildTensor,
                &[storage, offset, size, stride, _requires_grad, _hooks]
                | &[storage, offset, size, stride, _requires_grad, _hooks, Value::None],
            ) => {
                let layout = self.objects.lay_out(storage, offset, size, stride)?;
                self.add(Object::Tensor(layout))
            }
            (Global::RebuildParameter, &[tensor, _requires_grad, _hooks])
                if self.objects.tensor(tensor).is_some() =>
            {
                self.push(tensor);
                Ok(())
            }
            _ => Err(format!("wrong arguments for {function:?}")),
        }
    }

    /// The attributes of an ordered dict: a state dict has its modules' versions there, which say nothing here.
    fn set_state(&mut self) -> Result<(), String> {
        self.pop()?;
        let top = self.top()?;
        match self.objects.get(top) {
            Some(Object::Dict(_)) => Ok(()),
            _ => Err("attributes for what is no dict".to_owned()),
        }
    }
}

fn pairs(items: &[Value]) -> Result<Vec<(Value, Value)>, String> {
    match items.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
        _ => Err("a key has no value".to_owned()),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a text is not UTF-8".to_owned())
}

/// A name of a file's own choice, of bounded length.
fn short(name: &str) -> String {
    name.chars().take(100).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faknow_data::Rng;

    fn check(bytes: &[u8], says: &str) {
        let error = read(bytes).unwrap_err();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn plain_values_are_read() {
        let integer = |bytes: &[u8], expected: i64| {
            assert_eq!(read(bytes).unwrap().0, Value::Integer(expected), "{bytes:?}");
        };
        integer(b"K\xff.", 255);
        integer(b"M\x00\x01.", 256);
        integer(b"J\xfe\xff\xff\xff.", -2);
        integer(b"\x8a\x00.", 0);
        integer(b"\x8a\x02\xff\xff.", -1);
        integer(b"\x8a\x02\xff\x00.", 255);
        integer(b"\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80.", i64::MIN);
        let other = |bytes: &[u8]| assert_eq!(read(bytes).unwrap().0, Value::Other, "{bytes:?}");
        other(b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00.");
        other(b"G\x3f\xf0\x00\x00\x00\x00\x00\x00.");
        other(b"\x88.");
        // {"a": 1, "b": None}, by the instructions of old and by those of today.
        for bytes in [b"(\x8c\x01aK\x01X\x01\x00\x00\x00bNd.".as_slice(), b"}(\x8c\x01aK\x01\x8c\x01bNu."] {
            let (root, objects) = read(bytes).unwrap();
            let entries: Vec<_> = objects.entries(root).unwrap().collect();
            assert_eq!(entries, [("a", Value::Integer(1)), ("b", Value::None)]);
        }
        let (root, objects) = read(b"K\x01K\x02K\x03\x87.").unwrap();
        assert_eq!(objects.items(root).unwrap(), [1, 2, 3].map(Value::Integer));
    }

    #[test]
    fn depth_and_circles_do_no_harm() {
        let n = 200_000;
        let deep = [vec![b']'; n], vec![b'a'; n - 1], vec![b'.']].concat();
        let (root, objects) = read(&deep).unwrap();
        assert_eq!(objects.items(root).unwrap().len(), 1);
        let (root, objects) = read(b"]q\x00h\x00a.").unwrap();
        assert_eq!(objects.items(root).unwrap(), [root]);
    }

    #[test]
    fn damage_is_named_with_its_place() {
        check(b"", "damaged at byte 0: the bytes end too early");
        check(b"\x80\x02K\x01", "damaged at byte 4: the bytes end too early");
        check(b"X\xff\xff\xff\xffabc.", "damaged at byte 0: the bytes end too early");
        check(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.", "the bytes end too early");
        check(b"\x8c\x02\xff\xfe.", "a text is not UTF-8");
        check(b"K\x01h\x07.", "damaged at byte 2: value 7 is asked for and was never kept");
        check(b".", "a value is missing");
        check(b"K\x01(a.", "a value is missing");
        check(b"K\x01t.", "a mark is missing");
        check(b"K\x01K\x02.", "more than one value");
        check(b"K\x01.K", "more than one value");
        check(b"}(K\x01u.", "a key has no value");
        check(b"K\x01K\x02a.", "items for what is no list");
        check(b"]K\x01K\x02s.", "entries for what is no dict");
        check(b"K\x01K\x02b.", "attributes for what is no dict");
        check(b"K\x01)R.", "a call of what is no function");
        check(b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "wrong arguments for RebuildTensor");
        check(b")Q.", "expected the description of a storage");
        check(&[vec![b']'; (1 << 20) + 1], vec![b'.']].concat(), "more than 1048576 values");
    }

    #[test]
    fn nothing_but_weights_is_served() {
        check(b"cos\nsystem\n(\x8c\x02lstR.", "refused: it asks for `os.system`; only tensors");
        check(b"\x8c\x08builtins\x8c\x04eval\x93.", "refused: it asks for `builtins.eval`; ");
        check(b"ctorch.storage\n_load_from_bytes\n.", "`torch.storage._load_from_bytes`");
        check(b"c\x1b[2J\nx\n.", "`?[2J.x`");
        check(b"(ios\nsystem\n.", "refused: it has the instruction 0x69, which no state dict needs");
        check(b"\x81.", "refused: it has the instruction 0x81");
        check(b"\x82\x01.", "refused: it has the instruction 0x82");
    }

    /// What builds a tensor of 6 floats in a storage, with these numbers for offset, sizes and strides.
    fn tensor(offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
        let integer = |n: i64| [b"\x8a\x08".as_slice(), &n.to_le_bytes()].concat();
        let tuple = |numbers: &[i64]| {
            let numbers: Vec<u8> = numbers.iter().flat_map(|&n| integer(n)).collect();
            [b"(", &numbers[..], b"t"].concat()
        };
        [
            b"ctorch._utils\n_rebuild_tensor_v2\n((\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpuK\x06tQ"
                .as_slice(),
            &integer(offset),
            &tuple(size),
            &tuple(stride),
            b"\x89NtR.",
        ]
        .concat()
    }

    #[test]
    fn a_tensor_never_leaves_its_storage() {
        let fits = |offset: i64, size: &[i64], stride: &[i64], n_values: usize| {
            let (root, objects) = read(&tensor(offset, size, stride)).unwrap();
            assert_eq!(objects.tensor(root).unwrap().n_values, n_values);
        };
        fits(0, &[2, 3], &[3, 1], 6);
        fits(5, &[], &[], 1);
        fits(5, &[4], &[0], 4);
        fits(1, &[2, 2], &[3, 1], 4);
        fits(9, &[0], &[1], 0);
        fits(0, &[1, 6], &[i64::MAX, 1], 6);
        let leaves = "leaves its storage of 6 values";
        for (offset, size, stride, says) in [
            (1, &[2, 3][..], &[3, 1][..], leaves),
            (6, &[], &[], leaves),
            (0, &[7], &[1], leaves),
            (0, &[2], &[6], leaves),
            (0, &[3], &[i64::MAX], leaves),
            (i64::MAX, &[2, 2], &[i64::MAX, i64::MAX], leaves),
            (0, &[i64::MAX, i64::MAX], &[0, 0], leaves),
            (-1, &[1], &[1], "not all whole numbers from 0"),
            (5, &[2], &[-1], "not all whole numbers from 0"),
            (0, &[2], &[], "1 sizes and 0 strides"),
            (0, &[1; 17], &[1; 17], "17 sizes and 17 strides"),
        ] {
            check(&tensor(offset, size, stride), says);
        }
    }

    #[test]
    fn instructions_at_random_are_no_panic() {
        const INSTRUCTIONS: [&[u8]; 30] = [
            b"N",
            b"\x88",
            b"K\x02",
            b"M\x01\x01",
            b"\x8a\x01\xff",
            b"\x8c\x01a",
            b"\x8c\x07storage",
            b"(",
            b"0",
            b"1",
            b"2",
            b"]",
            b")",
            b"}",
            b"t",
            b"\x85",
            b"\x86",
            b"\x87",
            b"a",
            b"e",
            b"s",
            b"u",
            b"q\x01",
            b"h\x01",
            b"\x94",
            b"ctorch\nFloatStorage\n",
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"Q",
            b"R",
            b"b",
        ];
        let mut rng = Rng::new(4);
        let mut n_read = 0;
        for _ in 0..20_000 {
            let n = 1 + rng.below(40);
            let mut bytes: Vec<u8> =
                (0..n).flat_map(|_| INSTRUCTIONS[rng.below(INSTRUCTIONS.len())]).copied().collect();
            bytes.push(b'.');
            n_read += usize::from(read(&bytes).is_ok());
        }
        assert!(n_read > 100, "{n_read} were read");
    }
}
