//! An unpickler for state dicts. A pickle is a program for a stack machine; this machine supports only the opcodes and globals
//! that plain values and tensors need, and executes no code.

use std::collections::HashMap;

use super::objects::{Global, Object, Objects, Value};
use super::opcode as op;

/// Prefix of messages about content that is not allowed, as opposed to corrupted files.
const UNSUPPORTED: &str = "unsupported ";

const EXPECTED_END: &str = "STOP: expected one value and the end of the data";

/// The remedy for files with more than weights.
const ADVICE: &str = "only tensors and plain values are read, and nothing is executed; \
    in Python, save only the weights: torch.save(model.state_dict(), FILE)";

/// Reads a pickle; returns the root value and all objects.
///
/// # Errors
/// The pickle is corrupted, or has opcodes or globals that are not allowed.
pub(super) fn read(bytes: &[u8]) -> Result<(Value, Objects), String> {
    let (root, objects, n_bytes) = read_first(bytes)?;
    if n_bytes != bytes.len() {
        return Err(format!("corrupted pickle at byte {n_bytes}: {EXPECTED_END}"));
    }
    Ok((root, objects))
}

/// Reads the first of several pickles; returns the root value, all objects, and the number of bytes of the pickle.
///
/// # Errors
/// As for [`read`].
pub(super) fn read_first(bytes: &[u8]) -> Result<(Value, Objects, usize), String> {
    let mut machine = Machine { bytes, ..Machine::default() };
    loop {
        let position = machine.position;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok((root, machine.objects, machine.position)),
            Err(reason) if reason.starts_with(UNSUPPORTED) => return Err(reason),
            Err(reason) => return Err(format!("corrupted pickle at byte {position}: {reason}")),
        }
    }
}

/// The stack machine.
#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    stack: Vec<Value>,
    /// Stack heights of the open marks.
    marks: Vec<usize>,
    // A map, since a pickle may use any 32-bit index.
    memo: HashMap<u32, Value>,
    objects: Objects,
}

impl<'a> Machine<'a> {
    /// Executes the next opcode; returns the root value at the end.
    fn step(&mut self) -> Result<Option<Value>, String> {
        match self.byte()? {
            // Protocol version and frames can be ignored.
            op::PROTO => drop(self.take(1)?),
            op::FRAME => drop(self.take(8)?),
            op::STOP => return self.stop().map(Some),
            op::NONE => self.push(Value::None),
            op::NEWTRUE => self.push(Value::Boolean(true)),
            op::NEWFALSE => self.push(Value::Boolean(false)),
            op::BINFLOAT => {
                self.take(8)?;
                self.push(Value::Other);
            }
            op::BININT1 => self.integer(1)?,
            op::BININT2 => self.integer(2)?,
            op::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Integer(value.into()));
            }
            op::LONG1 => {
                let length = self.unsigned(1)?;
                self.long(length)?;
            }
            op::LONG4 => {
                let length = self.unsigned(4)?;
                self.long(length)?;
            }
            op::SHORT_BINUNICODE => self.string(1)?,
            // Strings of Python 2.
            op::SHORT_BINSTRING => self.string(1)?,
            op::BINSTRING | op::BINUNICODE => self.string(4)?,
            op::BINUNICODE8 => self.string(8)?,
            op::MARK => self.marks.push(self.stack.len()),
            op::POP => drop(self.pop()?),
            op::POP_MARK => drop(self.pop_to_mark()?),
            op::DUP => {
                let top = self.top()?;
                self.push(top);
            }
            op::EMPTY_LIST | op::EMPTY_TUPLE => self.add(Object::Items(Vec::new()))?,
            op::EMPTY_DICT => self.add(Object::Dict(Vec::new()))?,
            op::TUPLE | op::LIST => {
                let items = self.pop_to_mark()?;
                self.add(Object::Items(items))?;
            }
            n @ op::TUPLE1..=op::TUPLE3 => {
                let n = usize::from(n - op::TUPLE1) + 1;
                let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                self.add(Object::Items(items))?;
            }
            op::DICT => {
                let items = self.pop_to_mark()?;
                let entries = pairs(&items)?;
                self.add(Object::Dict(entries))?;
            }
            op::APPEND => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            op::APPENDS => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            op::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            op::SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            op::BINPUT => {
                let index = self.unsigned(1)?;
                self.memoize(index)?;
            }
            op::LONG_BINPUT => {
                let index = self.unsigned(4)?;
                self.memoize(index)?;
            }
            op::MEMOIZE => self.memoize(self.memo.len())?,
            op::BINGET => {
                let index = self.unsigned(1)?;
                self.get(index)?;
            }
            op::LONG_BINGET => {
                let index = self.unsigned(4)?;
                self.get(index)?;
            }
            op::GLOBAL => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            op::STACK_GLOBAL => self.stack_global()?,
            op::BINPERSID => self.persistent_load()?,
            op::REDUCE => self.reduce()?,
            op::BUILD => self.build()?,
            other => {
                return Err(format!("{UNSUPPORTED}opcode 0x{other:02x}; {ADVICE}"));
            }
        }
        Ok(None)
    }

    fn stop(&mut self) -> Result<Value, String> {
        let root = self.pop()?;
        if self.stack.is_empty() && self.marks.is_empty() { Ok(root) } else { Err(EXPECTED_END.to_owned()) }
    }

    // Reading bytes.

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.position..];
        let bytes = rest.get(..n).ok_or("unexpected end of data")?;
        self.position += n;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    /// Reads an unsigned integer of `n` bytes, at most 8.
    fn unsigned(&mut self, n: usize) -> Result<usize, String> {
        let mut bytes = [0; 8];
        bytes[..n].copy_from_slice(self.take(n)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "length out of range".to_owned())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.position..];
        let n = rest.iter().position(|&byte| byte == b'\n').ok_or("unexpected end of data in a name")?;
        let line = utf8(self.take(n)?)?;
        self.take(1)?;
        Ok(line)
    }

    // Plain values.

    fn integer(&mut self, n: usize) -> Result<(), String> {
        let value = self.unsigned(n)? as i64; // at most 2 bytes
        self.push(Value::Integer(value));
        Ok(())
    }

    /// Reads a two's complement integer of `n` bytes.
    fn long(&mut self, n: usize) -> Result<(), String> {
        let bytes = self.take(n)?;
        let value = if n <= 8 {
            let sign = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xff } else { 0 };
            let mut extended = [sign; 8];
            extended[..n].copy_from_slice(bytes);
            Value::Integer(i64::from_le_bytes(extended))
        } else {
            Value::Other
        };
        self.push(value);
        Ok(())
    }

    /// Reads a string with a length of `n` bytes.
    fn string(&mut self, n: usize) -> Result<(), String> {
        let length = self.unsigned(n)?;
        let text = utf8(self.take(length)?)?;
        self.add(Object::Text(text))
    }

    // Stack and memo.

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn add(&mut self, object: Object) -> Result<(), String> {
        let value = self.objects.add(object)?;
        self.push(value);
        Ok(())
    }

    /// Returns the top of the stack without removing it.
    fn top(&self) -> Result<Value, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or_else(|| "stack underflow".to_owned())
    }

    fn pop(&mut self) -> Result<Value, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or("no MARK on the stack")?;
        Ok(self.stack.split_off(mark))
    }

    /// Stores the top of the stack in the memo.
    fn memoize(&mut self, index: usize) -> Result<(), String> {
        let top = self.top()?;
        let index = u32::try_from(index).map_err(|_| "memo index out of range".to_owned())?;
        self.memo.insert(index, top);
        Ok(())
    }

    /// Pushes a value from the memo.
    fn get(&mut self, index: usize) -> Result<(), String> {
        let value = u32::try_from(index).ok().and_then(|index| self.memo.get(&index).copied());
        let value = value.ok_or_else(|| format!("no memo entry {index}"))?;
        self.push(value);
        Ok(())
    }

    // Collections, which stay on the stack.

    fn append(&mut self, new: &[Value]) -> Result<(), String> {
        let top = self.top()?;
        match self.objects.get_mut(top) {
            Some(Object::Items(items)) => items.extend(new),
            _ => return Err("APPENDS on a non-list".to_owned()),
        }
        Ok(())
    }

    fn set_items(&mut self, new: &[Value]) -> Result<(), String> {
        let (new, top) = (pairs(new)?, self.top()?);
        match self.objects.get_mut(top) {
            Some(Object::Dict(entries)) => entries.extend(new),
            _ => return Err("SETITEMS on a non-dict".to_owned()),
        }
        Ok(())
    }

    // Globals, storages and tensors.

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        match Global::from_name(module, name) {
            Some(global) => self.add(Object::Global(global)),
            None => Err(format!("{UNSUPPORTED}global `{}.{}`; {ADVICE}", sanitize(module), sanitize(name))),
        }
    }

    fn stack_global(&mut self) -> Result<(), String> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |value| self.objects.text(value).map(sanitize).ok_or("STACK_GLOBAL on a non-string");
        let (module, name) = (text(module)?, text(name)?);
        self.global(&module, &name)
    }

    fn persistent_load(&mut self) -> Result<(), String> {
        let persistent_id = self.pop()?;
        let storage = self.objects.storage(persistent_id);
        self.add(Object::Storage(storage.ok_or("BINPERSID: expected a storage")?))
    }

    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Some(&Object::Global(function)) = self.objects.get(function) else {
            return Err("REDUCE on a non-callable".to_owned());
        };
        let arguments = self.objects.items(arguments).ok_or("REDUCE without a tuple of arguments")?;
        match (function, arguments) {
            (Global::OrderedDict, []) => self.add(Object::Dict(Vec::new())),
            // By Python 2, with a list of pairs.
            (Global::OrderedDict, &[pairs]) => {
                let entry = |&pair: &Value| match self.objects.items(pair) {
                    Some(&[key, value]) => Some((key, value)),
                    _ => None,
                };
                let pairs = self.objects.items(pairs).and_then(|pairs| pairs.iter().map(entry).collect());
                self.add(Object::Dict(pairs.ok_or("OrderedDict: expected a list of pairs")?))
            }
            (
                Global::RebuildTensor,
                &[storage, offset, size, stride]
                | &[storage, offset, size, stride, _, _]
                | &[storage, offset, size, stride, _, _, Value::None],
            ) => {
                let layout = self.objects.view(storage, offset, size, stride)?;
                self.add(Object::Tensor(layout))
            }
            (Global::RebuildParameter, &[tensor, _, _]) | (Global::Parameter, &[tensor] | &[tensor, _])
                if self.objects.tensor(tensor).is_some() =>
            {
                self.push(tensor);
                Ok(())
            }
            _ => Err(format!("REDUCE: invalid arguments of {function:?}")),
        }
    }

    /// Ignores the attributes of an ordered dict, which are the versions of modules in a state dict, and of a parameter.
    fn build(&mut self) -> Result<(), String> {
        self.pop()?;
        let top = self.top()?;
        match self.objects.get(top) {
            Some(Object::Dict(_) | Object::Tensor(_)) => Ok(()),
            _ => Err("BUILD on a non-dict".to_owned()),
        }
    }
}

fn pairs(items: &[Value]) -> Result<Vec<(Value, Value)>, String> {
    match items.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
        _ => Err("odd number of items for a dict".to_owned()),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a string is not valid UTF-8".to_owned())
}

/// Truncates a name and replaces control characters, for messages.
fn sanitize(name: &str) -> String {
    name.chars().take(100).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faknow_data::Rng;

    fn check_error(bytes: &[u8], expected: &str) {
        let error = read(bytes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn reads_plain_values() {
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
        assert_eq!(read(b"\x88.").unwrap().0, Value::Boolean(true));
        // {"a": 1, "b": None}, by old and by current opcodes.
        for bytes in [b"(\x8c\x01aK\x01X\x01\x00\x00\x00bNd.".as_slice(), b"}(\x8c\x01aK\x01\x8c\x01bNu."] {
            let (root, objects) = read(bytes).unwrap();
            let entries: Vec<_> = objects.entries(root).unwrap().collect();
            assert_eq!(entries, [("a", Value::Integer(1)), ("b", Value::None)]);
        }
        let (root, objects) = read(b"K\x01K\x02K\x03\x87.").unwrap();
        assert_eq!(objects.items(root).unwrap(), [1, 2, 3].map(Value::Integer));
    }

    #[test]
    fn reads_deep_and_cyclic_values() {
        let n = 200_000;
        let deep = [vec![b']'; n], vec![b'a'; n - 1], vec![b'.']].concat();
        let (root, objects) = read(&deep).unwrap();
        assert_eq!(objects.items(root).unwrap().len(), 1);
        let (root, objects) = read(b"]q\x00h\x00a.").unwrap();
        assert_eq!(objects.items(root).unwrap(), [root]);
    }

    #[test]
    fn corruption_errors_name_the_position() {
        check_error(b"", "corrupted pickle at byte 0: unexpected end of data");
        check_error(b"\x80\x02K\x01", "corrupted pickle at byte 4: unexpected end of data");
        check_error(b"X\xff\xff\xff\xffabc.", "corrupted pickle at byte 0: unexpected end of data");
        check_error(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.", "unexpected end of data");
        check_error(b"\x8c\x02\xff\xfe.", "a string is not valid UTF-8");
        check_error(b"K\x01h\x07.", "corrupted pickle at byte 2: no memo entry 7");
        check_error(b".", "stack underflow");
        check_error(b"K\x01(a.", "stack underflow");
        check_error(b"K\x01t.", "no MARK on the stack");
        check_error(b"K\x01K\x02.", "STOP: expected one value and the end of the data");
        check_error(b"K\x01.K", "STOP: expected one value and the end of the data");
        check_error(b"}(K\x01u.", "odd number of items for a dict");
        check_error(b"K\x01K\x02a.", "APPENDS on a non-list");
        check_error(b"]K\x01K\x02s.", "SETITEMS on a non-dict");
        check_error(b"K\x01K\x02b.", "BUILD on a non-dict");
        check_error(b"K\x01)R.", "REDUCE on a non-callable");
        check_error(b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "REDUCE: invalid arguments of RebuildTensor");
        check_error(b")Q.", "BINPERSID: expected a storage");
        check_error(&[vec![b']'; (1 << 20) + 1], vec![b'.']].concat(), "more than 1048576 values");
    }

    #[test]
    fn rejects_unsupported_globals_and_opcodes() {
        check_error(b"cos\nsystem\n(\x8c\x02lstR.", "unsupported global `os.system`; only tensors");
        check_error(b"\x8c\x08builtins\x8c\x04eval\x93.", "unsupported global `builtins.eval`; ");
        check_error(b"ctorch.storage\n_load_from_bytes\n.", "`torch.storage._load_from_bytes`");
        check_error(b"c\x1b[2J\nx\n.", "`?[2J.x`");
        check_error(b"(ios\nsystem\n.", "unsupported opcode 0x69; only tensors");
        check_error(b"\x81.", "unsupported opcode 0x81");
        check_error(b"\x82\x01.", "unsupported opcode 0x82");
    }

    /// Returns the pickle of a tensor in a storage of 6 floats, with this offset, sizes and strides.
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
    fn tensors_stay_within_their_storage() {
        let check = |offset: i64, size: &[i64], stride: &[i64], n_values: usize| {
            let (root, objects) = read(&tensor(offset, size, stride)).unwrap();
            assert_eq!(objects.tensor(root).unwrap().n_values, n_values);
        };
        check(0, &[2, 3], &[3, 1], 6);
        check(5, &[], &[], 1);
        check(5, &[4], &[0], 4);
        check(1, &[2, 2], &[3, 1], 4);
        check(9, &[0], &[1], 0);
        check(0, &[1, 6], &[i64::MAX, 1], 6);
        let out_of_bounds = "expected indices within its storage of 6 values";
        for (offset, size, stride, expected) in [
            (1, &[2, 3][..], &[3, 1][..], out_of_bounds),
            (6, &[], &[], out_of_bounds),
            (0, &[7], &[1], out_of_bounds),
            (0, &[2], &[6], out_of_bounds),
            (0, &[3], &[i64::MAX], out_of_bounds),
            (i64::MAX, &[2, 2], &[i64::MAX, i64::MAX], out_of_bounds),
            (0, &[i64::MAX, i64::MAX], &[0, 0], out_of_bounds),
            (-1, &[1], &[1], "expected non-negative integers"),
            (5, &[2], &[-1], "expected non-negative integers"),
            (0, &[2], &[], "got 1 and 0"),
            (0, &[1; 17], &[1; 17], "got 17 and 17"),
        ] {
            check_error(&tensor(offset, size, stride), expected);
        }
    }

    #[test]
    fn random_opcodes_do_not_panic() {
        const OPCODES: [&[u8]; 30] = [
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
                (0..n).flat_map(|_| OPCODES[rng.below(OPCODES.len())]).copied().collect();
            bytes.push(b'.');
            n_read += usize::from(read(&bytes).is_ok());
        }
        assert!(n_read > 100, "{n_read} were read");
    }
}
