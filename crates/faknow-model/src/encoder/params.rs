//! The parameters of an encoder while it is built: random, or those of a directory.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tch::nn::{Init, Path};
use tch::{Device, Kind, Tensor};

use super::lora::{Adapter, Adapters, LoraTarget};
use super::precision::Precision;
use crate::Result;

/// Tensors by name.
pub(super) type Tensors = BTreeMap<String, Tensor>;

/// Where parameters come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// New variables with random values.
    Random,
    /// New variables with the values of these tensors.
    Copied(&'a Tensors),
    /// These tensors themselves, without new variables.
    Shared(&'a Tensors),
}

/// Creates the parameters below a name.
pub(super) struct Params<'a, 'v> {
    path: Option<Path<'v>>,
    /// The name of the module, with a dot at its end.
    prefix: String,
    source: Source<'a>,
    adapters: Option<&'a Adapters<'a, 'v>>,
    /// The precision of the products of the linear layers.
    pub precision: Precision,
    created: &'a RefCell<Created>,
}

/// The parameters that were created.
#[derive(Debug, Default)]
pub(super) struct Created {
    /// The parameters by their names within the encoder, in order.
    pub parameters: Vec<(String, Tensor)>,
    /// The adapters by the names of the weights that they change.
    pub adapters: Vec<(String, Adapter)>,
    /// The tensors that are missing or have the wrong shape, one phrase each.
    pub problems: Vec<String>,
}

impl<'a, 'v> Params<'a, 'v> {
    pub(super) fn new(
        path: Option<Path<'v>>,
        source: Source<'a>,
        adapters: Option<&'a Adapters<'a, 'v>>,
        precision: Precision,
        created: &'a RefCell<Created>,
    ) -> Self {
        Self { path, prefix: String::new(), source, adapters, precision, created }
    }

    /// Returns the parameters of a module below this one; `name` may contain dots.
    pub(super) fn sub(&self, name: &str) -> Self {
        let path = self.path.as_ref().map(|path| descend(path, name));
        let prefix = format!("{}{name}.", self.prefix);
        Self { path, prefix, ..*self }
    }

    /// Returns the parameters of a module in a list.
    pub(super) fn at(&self, index: i64) -> Self {
        self.sub(&index.to_string())
    }

    /// Creates a parameter.
    pub(super) fn tensor(&self, name: &str, dims: &[i64], init: Init) -> Result<Tensor> {
        let full_name = format!("{}{name}", self.prefix);
        let given = match self.source {
            Source::Random => None,
            Source::Copied(tensors) | Source::Shared(tensors) => {
                let problem = match tensors.get(&full_name) {
                    None => format!("missing `{full_name}` {dims:?}"),
                    Some(tensor) if tensor.size() != dims => {
                        format!("`{full_name}`: expected {dims:?}, got {:?}", tensor.size())
                    }
                    Some(tensor) => {
                        return self.given(name, full_name, tensor);
                    }
                };
                self.created.borrow_mut().problems.push(problem);
                Some(Tensor::f_empty(dims, (Kind::Float, Device::Cpu))?)
            }
        };
        let tensor = match (given, &self.path) {
            (Some(tensor), _) => tensor,
            (None, Some(path)) => path.f_var(name, dims, init)?,
            (None, None) => tch::nn::f_init(init, dims, Device::Cpu, Kind::Float)?,
        };
        self.record(full_name, tensor)
    }

    /// Creates the adapter of a linear layer, whose weight is the parameter `weight`, if its kind has one.
    pub(super) fn adapter(&self, target: Option<LoraTarget>, sizes: [i64; 2]) -> Result<Option<Adapter>> {
        let Some(Adapters { path, config }) = self.adapters else { return Ok(None) };
        if !target.is_some_and(|target| config.targets.contains(&target)) {
            return Ok(None);
        }
        let adapter = Adapter::new(&descend(path, self.prefix.trim_end_matches('.')), config, sizes)?;
        let name = format!("{}weight", self.prefix);
        self.created.borrow_mut().adapters.push((name, adapter.shallow_clone()));
        Ok(Some(adapter))
    }

    /// Creates a parameter from a given tensor.
    fn given(&self, name: &str, full_name: String, tensor: &Tensor) -> Result<Tensor> {
        let parameter = match (self.source, &self.path) {
            (Source::Copied(_), Some(path)) => {
                path.f_var_copy(name, &tensor.f_to_device(path.device())?.f_to_kind(path.kind())?)?
            }
            _ => tensor.shallow_clone(),
        };
        self.record(full_name, parameter)
    }

    fn record(&self, name: String, tensor: Tensor) -> Result<Tensor> {
        self.created.borrow_mut().parameters.push((name, tensor.shallow_clone()));
        Ok(tensor)
    }
}

/// Returns the path of a module; `name` may contain dots.
fn descend<'v>(path: &Path<'v>, name: &str) -> Path<'v> {
    name.split('.').fold(path.clone(), |path, part| path / part)
}
