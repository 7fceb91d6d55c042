//! A constructor with the learning rate for each optimizer, and a setter for each hyperparameter.

use super::{Adagrad, Adam, AdamW, OptimizerConfig, ParameterGroup, RmsProp, Sgd};

impl OptimizerConfig {
    /// Returns SGD with this learning rate and PyTorch's other defaults.
    pub fn sgd(lr: f64) -> Sgd {
        Sgd::new(lr)
    }

    /// Returns Adam with this learning rate and PyTorch's other defaults.
    pub fn adam(lr: f64) -> Adam {
        Adam::new(lr)
    }

    /// Returns AdamW with this learning rate and PyTorch's other defaults.
    ///
    /// ```
    /// use faknow_trainer::OptimizerConfig;
    ///
    /// let optimizer = OptimizerConfig::adamw(1e-3).weight_decay(0.05).group("fc1.*", |group| group.lr(1e-4));
    /// let config: OptimizerConfig = optimizer.into();
    /// assert_eq!(config.groups()[0].lr, Some(1e-4));
    /// ```
    pub fn adamw(lr: f64) -> AdamW {
        AdamW::new(lr)
    }

    /// Returns RMSprop with this learning rate and PyTorch's other defaults.
    pub fn rms_prop(lr: f64) -> RmsProp {
        RmsProp::new(lr)
    }

    /// Returns Adagrad with this learning rate and PyTorch's other defaults.
    pub fn adagrad(lr: f64) -> Adagrad {
        Adagrad::new(lr)
    }
}

impl From<&OptimizerConfig> for OptimizerConfig {
    fn from(config: &OptimizerConfig) -> Self {
        config.clone()
    }
}

/// Defines the constructor and the setters of each optimizer. A test compares them with the keys of configurations.
macro_rules! setters {
    ($($optimizer:ident { $($field:ident: $kind:ty,)* })*) => {$(
        impl $optimizer {
            #[doc = concat!("Returns `", stringify!($optimizer), "` with this learning rate and PyTorch's other defaults.")]
            pub fn new(lr: f64) -> Self {
                Self { lr, ..Self::default() }
            }

            $(
                #[doc = concat!("Sets `", stringify!($field), "`; see the field of this name for range and default.")]
                #[must_use]
                pub fn $field(mut self, $field: $kind) -> Self {
                    self.$field = $field;
                    self
                }
            )*

            /// Adds a group of the parameters whose names match `pattern` (`*` matches any characters), with separate
            /// settings; the first group that matches applies.
            #[must_use]
            pub fn group(
                mut self,
                pattern: impl Into<String>,
                settings: impl FnOnce(ParameterGroup) -> ParameterGroup,
            ) -> Self {
                self.groups.push(settings(ParameterGroup::new(pattern)));
                self
            }
        }

        impl From<$optimizer> for OptimizerConfig {
            fn from(optimizer: $optimizer) -> Self {
                Self::$optimizer(optimizer)
            }
        }
    )*};
}

setters! {
    Sgd { momentum: f64, dampening: f64, weight_decay: f64, nesterov: bool, }
    Adam { betas: [f64; 2], eps: f64, weight_decay: f64, amsgrad: bool, }
    AdamW { betas: [f64; 2], eps: f64, weight_decay: f64, amsgrad: bool, }
    RmsProp { alpha: f64, eps: f64, weight_decay: f64, momentum: f64, centered: bool, }
    Adagrad { lr_decay: f64, initial_accumulator_value: f64, eps: f64, weight_decay: f64, }
}

impl ParameterGroup {
    /// Sets the learning rate of the group.
    #[must_use]
    pub fn lr(mut self, lr: f64) -> Self {
        self.lr = Some(lr);
        self
    }

    /// Sets the weight decay of the group.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = Some(weight_decay);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns each optimizer with every setter used and no default value, and the same configuration as TOML.
    fn table() -> Vec<(OptimizerConfig, &'static str)> {
        let group = |group: ParameterGroup| group.lr(0.5).weight_decay(0.25);
        vec![
            (
                OptimizerConfig::sgd(0.2)
                    .momentum(0.9)
                    .dampening(0.1)
                    .weight_decay(0.3)
                    .nesterov(true)
                    .group("a.*", group)
                    .into(),
                "name = 'sgd'\nmomentum = 0.9\ndampening = 0.1\nweight_decay = 0.3\nnesterov = true",
            ),
            (
                OptimizerConfig::adam(0.2)
                    .betas([0.8, 0.9])
                    .eps(0.1)
                    .weight_decay(0.3)
                    .amsgrad(true)
                    .group("a.*", group)
                    .into(),
                "name = 'adam'\nbetas = [0.8, 0.9]\neps = 0.1\nweight_decay = 0.3\namsgrad = true",
            ),
            (
                OptimizerConfig::adamw(0.2)
                    .betas([0.8, 0.9])
                    .eps(0.1)
                    .weight_decay(0.3)
                    .amsgrad(true)
                    .group("a.*", group)
                    .into(),
                "name = 'adamw'\nbetas = [0.8, 0.9]\neps = 0.1\nweight_decay = 0.3\namsgrad = true",
            ),
            (
                OptimizerConfig::rms_prop(0.2)
                    .alpha(0.8)
                    .eps(0.1)
                    .weight_decay(0.3)
                    .momentum(0.9)
                    .centered(true)
                    .group("a.*", group)
                    .into(),
                "name = 'rmsprop'\nalpha = 0.8\neps = 0.1\nweight_decay = 0.3\nmomentum = 0.9\ncentered = true",
            ),
            (
                OptimizerConfig::adagrad(0.2)
                    .lr_decay(0.1)
                    .initial_accumulator_value(0.4)
                    .eps(0.1)
                    .weight_decay(0.3)
                    .group("a.*", group)
                    .into(),
                "name = 'adagrad'\nlr_decay = 0.1\ninitial_accumulator_value = 0.4\neps = 0.1\nweight_decay = 0.3",
            ),
        ]
    }

    #[test]
    fn setters_match_config_keys() {
        let keys = |config: &OptimizerConfig| match toml::Value::try_from(config).unwrap() {
            toml::Value::Table(table) => table,
            other => panic!("{other:?}"),
        };
        for (config, text) in table() {
            let text =
                format!("lr = 0.2\n{text}\n[[groups]]\npattern = 'a.*'\nlr = 0.5\nweight_decay = 0.25\n");
            assert_eq!(toml::from_str::<OptimizerConfig>(&text).unwrap(), config, "{text}");
            let default = format!("name = '{}'", config.name());
            let default = keys(&toml::from_str(&default).unwrap());
            for (key, value) in keys(&config).iter().filter(|(key, _)| *key != "name") {
                assert_ne!(default.get(key), Some(value), "{}: `{key}` has no setter", config.name());
            }
        }
        // A new variant does not compile until it is added here, and then to the table above.
        let in_table = |name| table().iter().any(|(config, _)| config.name() == name);
        match OptimizerConfig::default() {
            OptimizerConfig::Sgd(_)
            | OptimizerConfig::Adam(_)
            | OptimizerConfig::AdamW(_)
            | OptimizerConfig::RmsProp(_)
            | OptimizerConfig::Adagrad(_) => {}
        }
        assert!(["sgd", "adam", "adamw", "rmsprop", "adagrad"].into_iter().all(in_table));
    }
}
