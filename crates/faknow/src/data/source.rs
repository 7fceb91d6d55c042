//! The data sources of a run, and the settings that apply to them.

use std::fmt;

use serde_json::Value;

use crate::config::dotted::by_dotted_name;
use crate::config::{Config, DataConfig};
use crate::data::features;
use crate::models::Fields;
use crate::{Error, Result};

/// A data source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataSource {
    /// Files of text records: `data.train` with a text model.
    Records,
    /// A file or directory of trees: `data.trees`.
    TreeFile,
    /// A UPFD dataset: `data.upfd`.
    Upfd,
    /// A graph of articles, sources and users: `data.fang`.
    News,
    /// Files of trees as JSON lines: `data.train` with a tree model.
    TreeLines,
}

/// A setting and the sources to which it applies.
struct SourceOption {
    /// Dotted name of the setting.
    key: &'static str,
    sources: &'static [DataSource],
    /// Alternatives for other sources.
    help: &'static [(DataSource, &'static str)],
}

use DataSource::{News as N, Records as R, TreeFile as T, TreeLines as L, Upfd as U};

/// Settings that require a tree model.
const TREE_SETTINGS: [&str; 2] = ["data.trees", "data.upfd"];

const TEST_IDS: &[(DataSource, &str)] = &[(T, "use `data.test_ids` for the test trees"), (U, OWN_SPLIT)];
const VALID_IDS: &[(DataSource, &str)] =
    &[(T, "use `data.valid_ids` for the validation trees"), (U, OWN_SPLIT)];
const OWN_SPLIT: &str = "UPFD has its own split";

/// All settings of `[data]`, `[text]` and `[image]`, with the sources to which they apply.
#[rustfmt::skip]
const OPTIONS: &[SourceOption] = &[
    SourceOption { key: "data.train", sources: &[R, L], help: &[(T, "use `data.train_ids` for the training trees")] },
    SourceOption { key: "data.valid", sources: &[R, L], help: VALID_IDS },
    SourceOption { key: "data.test", sources: &[R, L], help: TEST_IDS },
    SourceOption { key: "data.trees", sources: &[T], help: &[] },
    SourceOption { key: "data.labels", sources: &[T], help: &[(R, "use `data.label` for the label field")] },
    SourceOption { key: "data.train_ids", sources: &[T], help: &[] },
    SourceOption { key: "data.valid_ids", sources: &[T], help: &[] },
    SourceOption { key: "data.test_ids", sources: &[T], help: &[] },
    SourceOption { key: "data.upfd", sources: &[U], help: &[] },
    SourceOption { key: "data.fang", sources: &[N], help: &[] },
    SourceOption { key: "data.feature", sources: &[U], help: &[] },
    SourceOption { key: "data.weighting", sources: &[T, U, L], help: &[] },
    SourceOption { key: "data.split_by_event", sources: &[R, T, L], help: &[(U, OWN_SPLIT)] },
    SourceOption { key: "data.text", sources: &[R], help: &[] },
    SourceOption { key: "data.label", sources: &[R], help: &[(T, "use `data.labels` for the file of labels")] },
    SourceOption { key: "data.domain", sources: &[R], help: &[] },
    SourceOption { key: "data.image", sources: &[R], help: &[] },
    SourceOption { key: "data.image_dir", sources: &[R], help: &[] },
    SourceOption { key: "data.entities", sources: &[R], help: &[] },
    SourceOption { key: "data.title", sources: &[R], help: &[] },
    SourceOption { key: "data.features", sources: &[R], help: &[] },
    SourceOption { key: "data.comments", sources: &[R], help: &[] },
    SourceOption { key: "data.classes", sources: &[R, T, U, L, N], help: &[] },
    SourceOption { key: "data.values", sources: &[R, T, L], help: &[(U, "its labels are class indices")] },
    SourceOption { key: "data.format", sources: &[R], help: &[] },
    SourceOption { key: "data.encoding", sources: &[R], help: &[] },
    SourceOption { key: "data.delimiter", sources: &[R], help: &[] },
    SourceOption { key: "data.drop_classes", sources: &[R], help: &[] },
    SourceOption { key: "data.skip_broken", sources: &[R], help: &[] },
    SourceOption { key: "data.header", sources: &[R], help: &[] },
    SourceOption { key: "data.quotes", sources: &[R], help: &[] },
    SourceOption { key: "data.split", sources: &[R, T, L, N], help: &[(U, OWN_SPLIT)] },
    SourceOption { key: "data.fold", sources: &[R, T, L, N], help: &[(U, OWN_SPLIT)] },
    SourceOption { key: "text.language", sources: &[R, L], help: &[] },
    SourceOption { key: "text.tokenizer", sources: &[R, L], help: &[] },
    SourceOption { key: "text.lowercase", sources: &[R, L], help: &[] },
    SourceOption { key: "text.punctuation", sources: &[R, L], help: &[] },
    SourceOption { key: "text.normalize_urls", sources: &[R, L], help: &[] },
    SourceOption { key: "text.normalize_mentions", sources: &[R, L], help: &[] },
    SourceOption { key: "text.normalize_unicode", sources: &[R, L], help: &[] },
    SourceOption { key: "text.stop_words", sources: &[R, L], help: &[] },
    SourceOption { key: "text.max_length", sources: &[R, L], help: &[] },
    SourceOption { key: "text.min_count", sources: &[R, L], help: &[] },
    SourceOption { key: "text.max_vocab", sources: &[R, L], help: &[] },
    SourceOption { key: "text.vectors", sources: &[R], help: &[] },
    SourceOption { key: "text.encoder", sources: &[R], help: &[] },
    SourceOption { key: "text.lexicons", sources: &[R], help: &[] },
    SourceOption { key: "text.memory", sources: &[R], help: &[] },
    SourceOption { key: "text.cache", sources: &[R], help: &[] },
    SourceOption { key: "image.encoder", sources: &[R], help: &[] },
    SourceOption { key: "image.size", sources: &[R], help: &[] },
    SourceOption { key: "image.resize", sources: &[R], help: &[] },
    SourceOption { key: "image.max_megapixels", sources: &[R], help: &[] },
    SourceOption { key: "image.on_problem", sources: &[R], help: &[] },
    SourceOption { key: "image.memory", sources: &[R], help: &[] },
    SourceOption { key: "image.cache", sources: &[R], help: &[] },
];

impl DataSource {
    /// Returns the source of `data` for a model with these input fields; `None` if none is set.
    ///
    /// # Errors
    /// `data` has several sources, or no source provides all of these fields.
    pub(crate) fn from_config(data: &DataConfig, fields: &Fields) -> Result<Option<Self>> {
        if fields.news.is_some() && fields.words.is_none() && fields.trees.is_none() {
            return Ok(data.fang.is_some().then_some(Self::News));
        }
        if fields.words.is_some() == fields.trees.is_some() {
            let message =
                format!("expected a model that takes text or trees as input, got one that takes `{fields}`");
            return Err(Error::config("model.name", message));
        }
        if fields.words.is_some() {
            return Ok(Some(Self::Records));
        }
        let sources = [
            (data.trees.is_some(), Self::TreeFile),
            (data.upfd.is_some(), Self::Upfd),
            (data.train.is_some(), Self::TreeLines),
        ];
        let mut sources = sources.into_iter().filter(|(is_set, _)| *is_set).map(|(_, source)| source);
        match (sources.next(), sources.next()) {
            (_, Some(_)) => {
                let message = "expected only one of `data.trees`, `data.upfd` and `data.train`, got several";
                Err(Error::config("data.trees", message))
            }
            (source, None) => Ok(source),
        }
    }
}

/// Checks that all settings apply to the data source.
///
/// # Errors
/// A setting does not apply; the error has its name, the sources to which it applies, and an alternative.
pub(crate) fn check_options(config: &Config, fields: &Fields) -> Result<()> {
    let Some(source) = DataSource::from_config(&config.data, fields)? else { return Ok(()) };
    let is_set = changed_settings(config);
    let option = OPTIONS.iter().find(|option| !option.sources.contains(&source) && is_set(option.key));
    let Some(option) = option else { return Ok(()) };
    if source == DataSource::Records && TREE_SETTINGS.contains(&option.key) {
        let message = format!(
            "expected a model that takes trees as input, got one that takes {fields} (`{}`)",
            config.model.name
        );
        let tree_model = config.registry.models().into_iter().find(|it| it.fields.trees.is_some());
        let hint = tree_model.map(|it| format!("; for trees use a tree model such as `{}`", it.name));
        return Err(Error::config(option.key, message + &hint.unwrap_or_default()));
    }
    let model = &config.model.name;
    if source == DataSource::TreeLines && option.sources == [DataSource::Records] {
        let message =
            format!("expected text records, got trees as JSON lines, which `{model}` takes as input");
        let text_model = config.registry.models().into_iter().find(|it| it.fields.trees.is_none());
        let hint = text_model.map(|it| format!("; for texts use a text model such as `{}`", it.name));
        return Err(Error::config(option.key, message + &hint.unwrap_or_default()));
    }
    let sources: Vec<String> = option.sources.iter().map(ToString::to_string).collect();
    let help = option.help.iter().find(|(other, _)| *other == source);
    let help = help.map(|(_, help)| format!("; {help}")).unwrap_or_default();
    Err(Error::config(option.key, format!("expected {}, got {source}{help}", sources.join(" or "))))
}

/// Checks that the model reads what the settings provide, and that they provide what it needs.
///
/// # Errors
/// A setting has no use for the model, or is missing; the error has its name.
pub(crate) fn check_model_inputs(config: &Config, fields: &Fields) -> Result<()> {
    features::check(config, fields)?;
    let name = &config.model.name;
    let models = |reads: fn(&Fields) -> bool| {
        let models = config.registry.models();
        let names = models.iter().filter(|it| reads(&it.fields)).map(|it| format!("`{}`", it.name));
        names.collect::<Vec<_>>().join(", ")
    };
    let accepts_encoder = |fields: &Fields| fields.words.as_ref().is_some_and(|words| words.accepts_encoder);
    if config.text.encoder.is_some() && !accepts_encoder(fields) {
        let message =
            format!("`{name}` reads words; models that accept an encoder: {}", models(accepts_encoder));
        return Err(Error::config("text.encoder", message));
    }
    check_images(config, fields, models)?;
    for (key, text, given) in
        [("data.entities", "entities", &config.data.entities), ("data.title", "title", &config.data.title)]
    {
        let reads = fields.texts.iter().any(|it| it.name == text);
        if given.is_some() && !reads {
            let all = config.registry.models().into_iter();
            let readers = all.filter(|it| it.fields.texts.iter().any(|it| it.name == text));
            let names: Vec<String> = readers.map(|it| format!("`{}`", it.name)).collect();
            let message = format!("`{name}` does not read {text}; models that do: {}", names.join(", "));
            return Err(Error::config(key, message));
        }
        if given.is_none() && reads {
            return Err(Error::config(key, format!("`{name}` reads {text}; name their column")));
        }
    }
    Ok(())
}

/// Checks that images are given if the model reads them, and only if it can.
fn check_images(
    config: &Config,
    fields: &Fields,
    models: impl Fn(fn(&Fields) -> bool) -> String,
) -> Result<()> {
    let name = &config.model.name;
    let is_set = changed_settings(config);
    let is_of_images = |key: &str| key.starts_with("image.") || key.starts_with("data.image");
    let given = OPTIONS.iter().find(|option| is_of_images(option.key) && is_set(option.key));
    // A model that reads texts alone (`model.modalities`) is trained on the same posts, also those without a text.
    let can_read = config.registry.model(name).is_ok_and(|model| model.fields.images.is_some());
    match (given, &fields.images, &config.data.image) {
        (Some(option), None, _) if !can_read => {
            let models = models(|fields| fields.images.is_some());
            Err(Error::config(option.key, format!("`{name}` does not read images; models that do: {models}")))
        }
        (_, Some(_), None) => {
            let message = format!(
                "`{name}` reads images: name the column of their paths, or let it read texts alone with \
                 model.modalities=\"text\""
            );
            Err(Error::config("data.image", message))
        }
        _ => Ok(()),
    }
}

/// Checks that no setting of texts is changed, for trees as JSON lines whose nodes have features instead.
///
/// # Errors
/// A setting is changed; the error has its name.
pub(crate) fn check_text_options(config: &Config) -> Result<()> {
    let is_set = changed_settings(config);
    match OPTIONS.iter().find(|option| option.key.starts_with("text.") && is_set(option.key)) {
        Some(option) => Err(Error::config(
            option.key,
            "expected trees with texts at their nodes, got trees with features",
        )),
        None => Ok(()),
    }
}

/// Returns a function that returns whether a setting, or one of a table of settings, differs from the default.
fn changed_settings(config: &Config) -> impl Fn(&str) -> bool {
    let (settings, default) = (by_dotted_name(config), by_dotted_name(&Config::default()));
    move |key| {
        let is_part =
            |name: &str| name == key || name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        let is_changed = |(name, value): (&String, &Value)| is_part(name) && default.get(name) != Some(value);
        settings.iter().any(is_changed)
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Records => "text records",
            Self::TreeFile => "trees from `data.trees`",
            Self::Upfd => "a UPFD dataset",
            Self::News => "a graph of articles from `data.fang`",
            Self::TreeLines => "trees as JSON lines",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Values that differ from the defaults.
    const VALUES: &[(&str, &str)] = &[
        ("data.split_by_event", "true"),
        ("data.weighting", "none"),
        ("data.classes", "['a', 'b']"),
        ("data.values", "{ fake = ['hoax'] }"),
        ("data.format", "csv"),
        ("data.encoding", "gbk"),
        ("data.delimiter", "';'"),
        ("data.header", "false"),
        ("data.quotes", "false"),
        ("data.split", "[0.8, 0.1, 0.1]"),
        ("data.fold", "'1 of 2'"),
        ("text.language", "zh"),
        ("text.tokenizer", "characters"),
        ("text.lowercase", "false"),
        ("text.punctuation", "true"),
        ("text.normalize_urls", "false"),
        ("text.normalize_mentions", "true"),
        ("text.normalize_unicode", "false"),
        ("data.drop_classes", "['satire']"),
        ("data.skip_broken", "7"),
        ("image.size", "64"),
        ("image.resize", "stretch"),
        ("image.max_megapixels", "7"),
        ("image.on_problem", "missing"),
        ("image.memory", "7"),
        ("text.max_length", "7"),
        ("text.min_count", "7"),
        ("text.max_vocab", "7"),
        ("text.memory", "7"),
    ];

    fn config_of(source: DataSource) -> (Config, Fields) {
        let (key, fields) = match source {
            DataSource::Records => ("data.train", Fields::words()),
            DataSource::TreeFile => ("data.trees", Fields::trees()),
            DataSource::Upfd => ("data.upfd", Fields::trees()),
            DataSource::TreeLines => ("data.train", Fields::trees()),
            DataSource::News => ("data.fang", Fields::news()),
        };
        (Config::default().set(&format!("{key}=x")).unwrap(), fields)
    }

    #[test]
    fn rejects_settings_that_do_not_apply_to_the_source() {
        // These settings would change the source.
        let source_settings = ["data.train", "data.trees", "data.upfd", "data.fang"];
        for source in [R, T, U, L, N] {
            let (config, fields) = config_of(source);
            assert_eq!(DataSource::from_config(&config.data, &fields).unwrap(), Some(source));
            check_options(&config, &fields).unwrap();
            for option in OPTIONS {
                if source != R && source_settings.contains(&option.key) {
                    continue;
                }
                let value =
                    VALUES.iter().find(|(key, _)| *key == option.key).map_or("'x'", |(_, value)| value);
                let config = config.set(&format!("{}={value}", option.key)).unwrap();
                match check_options(&config, &fields) {
                    Ok(()) => assert!(option.sources.contains(&source), "{} with {source}", option.key),
                    Err(error) => {
                        let error = error.to_string();
                        assert!(!option.sources.contains(&source), "{error}");
                        assert!(error.starts_with(&format!("`{}`: expected ", option.key)), "{error}");
                        let got = if TREE_SETTINGS.contains(&option.key) {
                            "one that takes"
                        } else {
                            &source.to_string()
                        };
                        assert!(error.contains(&format!(", got {got}")), "{error}");
                    }
                }
            }
        }
    }

    #[test]
    fn table_has_every_setting() {
        let keys: BTreeSet<&str> = OPTIONS.iter().map(|option| option.key).collect();
        assert_eq!(keys.len(), OPTIONS.len(), "a setting is in the table twice");
        for table in ["data", "text"] {
            let error = Config::default().set(&format!("{table}.no_such_key=1")).unwrap_err().to_string();
            let names = error.split_once("expected one of ").unwrap().1.split('`').skip(1).step_by(2);
            let names: BTreeSet<String> = names.map(|name| format!("{table}.{name}")).collect();
            let prefix = format!("{table}.");
            let expected =
                keys.iter().filter(|key| key.starts_with(&prefix)).map(|key| (*key).to_owned()).collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn rejects_several_sources() {
        let config = Config::default().set_all(&["data.train=x", "data.trees=y"]).unwrap();
        let error = DataSource::from_config(&config.data, &Fields::trees()).unwrap_err().to_string();
        assert!(error.contains("got several"), "{error}");
        assert_eq!(DataSource::from_config(&Config::default().data, &Fields::trees()).unwrap(), None);
    }
}
