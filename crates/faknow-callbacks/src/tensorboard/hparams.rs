//! The settings of a run for TensorBoard's HParams dashboard.

use protobuf::well_known_types::{Value, Value_oneof_kind};
use serde_json::{Map, Value as Json};
use tensorboard_proto::api::Status;
use tensorboard_proto::plugin_hparams::{HParamsPluginData, SessionEndInfo, SessionStartInfo};
use tensorboard_proto::summary::Summary;
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::types::DataType;

use super::summaries::{bytes, plugin};
use crate::Result;

/// The status of a run at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndStatus {
    Success,
    Failed,
}

/// Returns the start event of a run with these settings; `seconds` are since 1970.
pub(crate) fn start(settings: &Map<String, Json>, seconds: f64) -> Result<Summary> {
    let mut info = SessionStartInfo::new();
    info.set_hparams(settings.iter().map(|(name, value)| (name.clone(), as_proto(value))).collect());
    info.set_start_time_secs(seconds);
    let mut data = HParamsPluginData::new();
    data.set_session_start_info(info);
    summary("_hparams_/session_start_info", &data)
}

/// Returns the end event of a run; `seconds` are since 1970.
pub(crate) fn end(status: EndStatus, seconds: f64) -> Result<Summary> {
    let mut info = SessionEndInfo::new();
    info.set_status(match status {
        EndStatus::Success => Status::STATUS_SUCCESS,
        EndStatus::Failed => Status::STATUS_FAILURE,
    });
    info.set_end_time_secs(seconds);
    let mut data = HParamsPluginData::new();
    data.set_session_end_info(info);
    summary("_hparams_/session_end_info", &data)
}

/// Converts a value: numbers and booleans as such, all others as text.
fn as_proto(value: &Json) -> Value {
    let kind = match value {
        Json::Bool(value) => Value_oneof_kind::bool_value(*value),
        Json::Number(number) => Value_oneof_kind::number_value(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value_oneof_kind::string_value(text.clone()),
        other => Value_oneof_kind::string_value(other.to_string()),
    };
    Value { kind: Some(kind), ..Value::default() }
}

fn summary(tag: &str, data: &HParamsPluginData) -> Result<Summary> {
    // TensorBoard drops values without a tensor.
    let mut placeholder = TensorProto::new();
    placeholder.set_dtype(DataType::DT_FLOAT);
    placeholder.set_float_val(vec![0.0]);
    Ok(plugin(tag, "hparams", bytes(data)?, placeholder))
}
