//! The objects of a pickle: plain values, and tensors as views of storages.

use tch::Kind;

// Limits far above the needs of weights, so a small file cannot allocate much memory.
const MAX_OBJECTS: usize = 1 << 20;
const MAX_DIMENSIONS: usize = 16;
const MAX_KEY_LEN: usize = 40;

/// A value; compound values are indices into [`Objects`], so deep and cyclic values are created and dropped without recursion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    None,
    Integer(i64),
    Boolean(bool),
    /// A float, or an integer of more than 64 bits, which weights do not need.
    Other,
    Object(usize),
}

/// A compound value.
#[derive(Debug)]
pub(super) enum Object {
    Text(String),
    /// A list or a tuple.
    Items(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Global(Global),
    Storage(Storage),
    Tensor(Layout),
}

/// The allowed globals.
#[derive(Debug, Clone, Copy)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Parameter,
    StorageOf(Kind),
}

/// A storage of tensor values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    /// Name of its entry in the archive, or its number before PyTorch 1.6.
    pub(super) key: String,
    pub(super) kind: Kind,
    /// Number of values.
    pub(super) n_values: usize,
}

/// A tensor as a view of a storage, within its bounds.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) storage: Storage,
    /// Index of the first value.
    pub(super) offset: usize,
    pub(super) size: Vec<i64>,
    /// Strides, in values.
    pub(super) stride: Vec<i64>,
    /// Number of values.
    pub(super) n_values: usize,
}

/// All objects of a pickle.
#[derive(Debug, Default)]
pub(super) struct Objects(Vec<Object>);

impl Objects {
    pub(super) fn add(&mut self, object: Object) -> Result<Value, String> {
        if self.0.len() == MAX_OBJECTS {
            return Err(format!("more than {MAX_OBJECTS} values"));
        }
        self.0.push(object);
        Ok(Value::Object(self.0.len() - 1))
    }

    pub(super) fn get(&self, value: Value) -> Option<&Object> {
        if let Value::Object(index) = value { self.0.get(index) } else { None }
    }

    pub(super) fn get_mut(&mut self, value: Value) -> Option<&mut Object> {
        if let Value::Object(index) = value { self.0.get_mut(index) } else { None }
    }

    pub(super) fn text(&self, value: Value) -> Option<&str> {
        if let Some(Object::Text(text)) = self.get(value) { Some(text) } else { None }
    }

    pub(super) fn items(&self, value: Value) -> Option<&[Value]> {
        if let Some(Object::Items(items)) = self.get(value) { Some(items) } else { None }
    }

    /// Returns the entries of a dict whose keys are strings, in order.
    pub(super) fn entries(&self, value: Value) -> Option<impl Iterator<Item = (&str, Value)>> {
        let Some(Object::Dict(entries)) = self.get(value) else { return None };
        Some(entries.iter().filter_map(|(key, value)| Some((self.text(*key)?, *value))))
    }

    pub(super) fn tensor(&self, value: Value) -> Option<&Layout> {
        if let Some(Object::Tensor(layout)) = self.get(value) { Some(layout) } else { None }
    }

    /// Returns all storages.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.0
            .iter()
            .filter_map(|object| if let Object::Storage(storage) = object { Some(storage) } else { None })
    }

    /// Returns the storage with the persistent id `("storage", type, key, device, number of values)`, followed by `None` before
    /// PyTorch 1.6.
    pub(super) fn storage(&self, persistent_id: Value) -> Option<Storage> {
        let (&[tag, kind, key, _device, n_values] | &[tag, kind, key, _device, n_values, Value::None]) =
            self.items(persistent_id)?
        else {
            return None;
        };
        let (Some("storage"), Some(Object::Global(Global::StorageOf(kind))), Some(key), Some(n_values)) =
            (self.text(tag), self.get(kind), self.text(key), count(n_values))
        else {
            return None;
        };
        (key.len() <= MAX_KEY_LEN).then(|| Storage { key: key.to_owned(), kind: *kind, n_values })
    }

    /// Returns the tensor with these sizes and strides, in values, that starts at `offset` in a storage.
    pub(super) fn view(
        &self,
        storage: Value,
        offset: Value,
        size: Value,
        stride: Value,
    ) -> Result<Layout, String> {
        let (Some(Object::Storage(storage)), Some(size), Some(stride)) =
            (self.get(storage), self.items(size), self.items(stride))
        else {
            return Err("tensor: expected a storage, a tuple of sizes and a tuple of strides".to_owned());
        };
        if size.len() != stride.len() || size.len() > MAX_DIMENSIONS {
            return Err(format!(
                "tensor: expected at most {MAX_DIMENSIONS} sizes and as many strides, got {} and {}",
                size.len(),
                stride.len()
            ));
        }
        let counts = |values: &[Value]| values.iter().map(|&value| count(value)).collect::<Option<Vec<_>>>();
        let (Some(offset), Some(size), Some(stride)) = (count(offset), counts(size), counts(stride)) else {
            return Err("tensor: expected non-negative integers as offset, sizes and strides".to_owned());
        };
        let n_values = size.iter().try_fold(1_usize, |n, &len| n.checked_mul(len));
        let end = size.iter().zip(&stride).try_fold(offset.saturating_add(1), |end, (&len, &stride)| {
            len.saturating_sub(1).checked_mul(stride).and_then(|distance| end.checked_add(distance))
        });
        match (n_values, end) {
            (Some(n_values), Some(end)) if n_values == 0 || end <= storage.n_values => {
                // All counts come from i64.
                let signed = |counts: Vec<usize>| counts.into_iter().map(|n| n as i64).collect();
                let storage = storage.clone();
                Ok(Layout { storage, offset, size: signed(size), stride: signed(stride), n_values })
            }
            _ => Err(format!(
                "tensor of size {size:?} with strides {stride:?} and offset {offset}: expected indices within its storage of {} \
                 values",
                storage.n_values
            )),
        }
    }
}

impl Global {
    /// Returns the global of this name, if it is allowed.
    pub(super) fn from_name(module: &str, name: &str) -> Option<Self> {
        let kind = match (module, name) {
            ("collections", "OrderedDict") => return Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => return Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => return Some(Self::RebuildParameter),
            ("torch.nn.parameter", "Parameter") => return Some(Self::Parameter),
            ("torch", "FloatStorage") => Kind::Float,
            ("torch", "DoubleStorage") => Kind::Double,
            ("torch", "HalfStorage") => Kind::Half,
            ("torch", "BFloat16Storage") => Kind::BFloat16,
            ("torch", "IntStorage") => Kind::Int,
            ("torch", "LongStorage") => Kind::Int64,
            ("torch", "ShortStorage") => Kind::Int16,
            ("torch", "CharStorage") => Kind::Int8,
            ("torch", "ByteStorage") => Kind::Uint8,
            ("torch", "BoolStorage") => Kind::Bool,
            _ => return None,
        };
        Some(Self::StorageOf(kind))
    }
}

/// Returns a non-negative integer.
fn count(value: Value) -> Option<usize> {
    if let Value::Integer(value) = value { usize::try_from(value).ok() } else { None }
}
