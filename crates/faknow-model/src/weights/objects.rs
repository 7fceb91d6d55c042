//! What a pickle of weights can hold: plain values, and tensors as places in storages.

use tch::Kind;

// Bounds far above what weights need, so that no file can ask for much more memory than its own size.
const MAX_OBJECTS: usize = 1 << 20;
const MAX_DIMENSIONS: usize = 16;
const MAX_KEY: usize = 40;

/// A value; what has parts is a number in the list of objects. So values of any depth, and those that contain
/// themselves, are made, looked at and dropped without recursion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    None,
    Integer(i64),
    /// A float, a truth value, an integer of more than 64 bits: weights are not made of them.
    Other,
    Object(usize),
}

/// What has parts.
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

/// The names that a state dict may ask for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageOf(Kind),
}

/// Where the values of tensors lie.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    /// Its name in the archive.
    pub(super) key: String,
    pub(super) kind: Kind,
    /// Number of values.
    pub(super) n_values: usize,
}

/// Which values of a storage are a tensor; none lies outside the storage.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) storage: Storage,
    /// Position of the first value.
    pub(super) offset: usize,
    pub(super) size: Vec<i64>,
    /// Distances between neighbors in each dimension, in values.
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

    /// The entries of a dict whose keys are texts, in their order.
    pub(super) fn entries(&self, value: Value) -> Option<impl Iterator<Item = (&str, Value)>> {
        let Some(Object::Dict(entries)) = self.get(value) else { return None };
        Some(entries.iter().filter_map(|(key, value)| Some((self.text(*key)?, *value))))
    }

    pub(super) fn tensor(&self, value: Value) -> Option<&Layout> {
        if let Some(Object::Tensor(layout)) = self.get(value) { Some(layout) } else { None }
    }

    /// The storage that `("storage", type, key, device, number of values)` describes.
    pub(super) fn describe_storage(&self, description: Value) -> Option<Storage> {
        let &[word, kind, key, _device, n_values] = self.items(description)? else { return None };
        let (Some("storage"), Some(Object::Global(Global::StorageOf(kind))), Some(key), Some(n_values)) =
            (self.text(word), self.get(kind), self.text(key), count(n_values))
        else {
            return None;
        };
        (key.len() <= MAX_KEY).then(|| Storage { key: key.to_owned(), kind: *kind, n_values })
    }

    /// The tensor of these sizes and strides, in values, that begins at `offset` in a storage.
    pub(super) fn lay_out(
        &self,
        storage: Value,
        offset: Value,
        size: Value,
        stride: Value,
    ) -> Result<Layout, String> {
        let (Some(Object::Storage(storage)), Some(size), Some(stride)) =
            (self.get(storage), self.items(size), self.items(stride))
        else {
            return Err("expected a tensor's storage, sizes and strides".to_owned());
        };
        if size.len() != stride.len() || size.len() > MAX_DIMENSIONS {
            return Err(format!("a tensor has {} sizes and {} strides", size.len(), stride.len()));
        }
        let counts = |values: &[Value]| values.iter().map(|&value| count(value)).collect::<Option<Vec<_>>>();
        let (Some(offset), Some(size), Some(stride)) = (count(offset), counts(size), counts(stride)) else {
            return Err("a tensor's sizes and strides are not all whole numbers from 0".to_owned());
        };
        let n_values = size.iter().try_fold(1_usize, |n, &len| n.checked_mul(len));
        let end = size.iter().zip(&stride).try_fold(offset.saturating_add(1), |end, (&len, &stride)| {
            len.saturating_sub(1).checked_mul(stride).and_then(|distance| end.checked_add(distance))
        });
        match (n_values, end) {
            (Some(n_values), Some(end)) if n_values == 0 || end <= storage.n_values => {
                // No number exceeds i64, from which all of them come.
                let signed = |counts: Vec<usize>| counts.into_iter().map(|n| n as i64).collect();
                let storage = storage.clone();
                Ok(Layout { storage, offset, size: signed(size), stride: signed(stride), n_values })
            }
            _ => Err(format!(
                "a tensor of size {size:?} with strides {stride:?} from {offset} on leaves its storage of {} values",
                storage.n_values
            )),
        }
    }
}

impl Global {
    /// The global of this name, if weights need it.
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        let kind = match (module, name) {
            ("collections", "OrderedDict") => return Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => return Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => return Some(Self::RebuildParameter),
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

/// A whole number of at least 0.
fn count(value: Value) -> Option<usize> {
    if let Value::Integer(value) = value { usize::try_from(value).ok() } else { None }
}
