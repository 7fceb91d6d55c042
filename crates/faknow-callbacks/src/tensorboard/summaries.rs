//! TensorBoard summaries other than scalars: precision-recall curves, histograms, images, texts, layout of charts.

use faknow_metrics::{ConfusionMatrix, Predictions};
use protobuf::Message;
use serde_json::{Map, Value};
use tch::{Kind, Tensor};
use tensorboard_proto::layout::{Category, Chart, Layout, MultilineChartContent};
use tensorboard_proto::plugin_pr_curve::PrCurvePluginData;
use tensorboard_proto::summary::{
    HistogramProto, Summary, Summary_Image, Summary_Value, SummaryMetadata, SummaryMetadata_PluginData,
};
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::tensor_shape::{TensorShapeProto, TensorShapeProto_Dim};
use tensorboard_proto::types::DataType;

use crate::{Error, Result};

/// Number of thresholds of a precision-recall curve, evenly spaced from 0 to 1.
const N_THRESHOLDS: usize = 101;
/// Number of buckets of a histogram.
const N_BUCKETS: i64 = 40;

/// Returns the precision-recall curve of `class` against all others; `None` if no sample has this class.
pub(crate) fn pr_curve(tag: &str, predictions: &Predictions, class: usize) -> Result<Option<Summary>> {
    if !predictions.labels().contains(&class) {
        return Ok(None);
    }
    // For each threshold: true and false positives, true and false negatives, precision, recall.
    let column = |index: usize| {
        let threshold = index as f64 / (N_THRESHOLDS - 1) as f64;
        let mut counts = [0.0_f32; 4];
        for (row, &label) in predictions.labels().iter().enumerate() {
            let is_predicted = predictions.row(row)[class] >= threshold;
            let count = match (label == class, is_predicted) {
                (true, true) => 0,
                (false, true) => 1,
                (false, false) => 2,
                (true, false) => 3,
            };
            counts[count] += 1.0;
        }
        let [tp, fp, tn, fn_] = counts;
        [tp, fp, tn, fn_, tp / (tp + fp).max(1.0), tp / (tp + fn_).max(1.0)]
    };
    let columns: Vec<[f32; 6]> = (0..N_THRESHOLDS).map(column).collect();
    let rows = (0..6).flat_map(|row| columns.iter().map(move |column| column[row]));
    let mut data = PrCurvePluginData::new();
    data.set_num_thresholds(N_THRESHOLDS as u32);
    let mut tensor = TensorProto::new();
    tensor.set_dtype(DataType::DT_FLOAT);
    tensor.set_tensor_shape(shape(&[6, N_THRESHOLDS as i64]));
    tensor.set_float_val(rows.collect());
    Ok(Some(plugin(tag, "pr_curves", bytes(&data)?, tensor)))
}

/// Returns a text in Markdown.
pub(crate) fn text(tag: &str, markdown: String) -> Summary {
    let mut tensor = TensorProto::new();
    tensor.set_dtype(DataType::DT_STRING);
    tensor.set_tensor_shape(shape(&[1]));
    tensor.set_string_val(vec![markdown.into_bytes()].into());
    plugin(tag, "text", Vec::new(), tensor)
}

/// Formats settings as a Markdown table.
pub(crate) fn settings_table(settings: &Map<String, Value>) -> String {
    let row = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("| `{name}` | {} |\n", value.replace('|', "\\|").replace('\n', " "))
    };
    format!("| setting | value |\n|---|---|\n{}", settings.iter().map(row).collect::<String>())
}

/// Returns the layout of the Custom Scalars dashboard: charts of losses, metrics, learning rates and gradient norms.
pub(crate) fn layout(metrics: &[&str]) -> Result<Summary> {
    let charts = [
        ("loss", vec!["Train/loss".to_owned(), "Validation/loss".to_owned(), "Test/loss".to_owned()]),
        ("validation metrics", metrics.iter().map(|name| format!("Validation/{name}")).collect()),
        ("learning rate", vec!["Train/learning_rate(/.*)?".to_owned()]),
        ("gradient norm", vec!["Train/grad_norm".to_owned()]),
    ];
    let charts = charts.into_iter().map(|(title, tags): (&str, Vec<String>)| {
        let mut content = MultilineChartContent::new();
        // Tags are regular expressions, which would match prefixes without anchors.
        content.set_tag(tags.into_iter().map(|tag| format!("^{tag}$")).collect::<Vec<_>>().into());
        let mut chart = Chart::new();
        chart.set_title(title.to_owned());
        chart.set_multiline(content);
        chart
    });
    let mut category = Category::new();
    category.set_title("training".to_owned());
    category.set_chart(charts.collect::<Vec<_>>().into());
    let mut layout = Layout::new();
    layout.set_category(vec![category].into());
    let mut tensor = TensorProto::new();
    tensor.set_dtype(DataType::DT_STRING);
    tensor.set_string_val(vec![bytes(&layout)?].into());
    Ok(plugin("custom_scalars__config__", "custom_scalars", Vec::new(), tensor))
}

/// Returns a histogram of the values of a tensor; `None` if it is empty or contains non-finite values.
pub(crate) fn histogram(tag: &str, tensor: &Tensor) -> Result<Option<Summary>> {
    let tensor_error = |e: tch::TchError| tensorboard_error(e.to_string());
    let values = if tensor.is_sparse() {
        tensor.f_internal_values().map_err(tensor_error)?
    } else {
        tensor.shallow_clone()
    };
    let values = values
        .f_detach()
        .and_then(|t| t.f_to_kind(Kind::Double))
        .and_then(|t| t.f_view(-1))
        .map_err(tensor_error)?;
    let read = |value: Result<Tensor, tch::TchError>| {
        value.and_then(|value| value.f_double_value(&[])).map_err(tensor_error)
    };
    let n = values.numel();
    if n == 0 {
        return Ok(None);
    }
    let (min, max) = (read(values.f_min())?, read(values.f_max())?);
    if !min.is_finite() || !max.is_finite() {
        return Ok(None);
    }
    // Equal values have no range to divide into buckets.
    let (limits, counts) = if max > min {
        let cpu = values.f_to_device(tch::Device::Cpu).map_err(tensor_error)?;
        let counts =
            Vec::<f64>::try_from(cpu.f_histc(N_BUCKETS).map_err(tensor_error)?).map_err(tensor_error)?;
        let width = (max - min) / N_BUCKETS as f64;
        ((1..=counts.len()).map(|bucket| min + width * bucket as f64).collect(), counts)
    } else {
        (vec![max], vec![n as f64])
    };
    let mut histogram = HistogramProto::new();
    histogram.set_min(min);
    histogram.set_max(max);
    histogram.set_num(n as f64);
    histogram.set_sum(read(values.f_sum(Kind::Double))?);
    histogram.set_sum_squares(read(values.f_square().and_then(|t| t.f_sum(Kind::Double)))?);
    histogram.set_bucket_limit(limits);
    histogram.set_bucket(counts);
    let mut value = Summary_Value::new();
    value.set_tag(tag.to_owned());
    value.set_histo(histogram);
    Ok(Some(single_summary(value)))
}

/// Returns a confusion matrix as an image: rows are true classes, columns are predicted classes, and the darkness of a cell
/// is its fraction of the row.
pub(crate) fn confusion(tag: &str, matrix: &ConfusionMatrix, classes: &[String]) -> Result<Summary> {
    let image = super::confusion_image::draw(matrix, classes);
    let mut proto = Summary_Image::new();
    proto.set_width(image.width as i32);
    proto.set_height(image.height as i32);
    proto.set_colorspace(3);
    proto.set_encoded_image_string(image.to_png().map_err(tensorboard_error)?);
    let mut value = Summary_Value::new();
    value.set_tag(tag.to_owned());
    value.set_image(proto);
    Ok(single_summary(value))
}

fn shape(sizes: &[i64]) -> TensorShapeProto {
    let dims = sizes.iter().map(|&size| TensorShapeProto_Dim { size, ..TensorShapeProto_Dim::default() });
    let mut shape = TensorShapeProto::new();
    shape.set_dim(dims.collect::<Vec<_>>().into());
    shape
}

/// Returns a tensor for a TensorBoard plugin, with the metadata of the plugin.
pub(crate) fn plugin(tag: &str, name: &str, content: Vec<u8>, tensor: TensorProto) -> Summary {
    let mut data = SummaryMetadata_PluginData::new();
    data.set_plugin_name(name.to_owned());
    data.set_content(content);
    let mut metadata = SummaryMetadata::new();
    metadata.set_plugin_data(data);
    let mut value = Summary_Value::new();
    value.set_tag(tag.to_owned());
    value.set_metadata(metadata);
    value.set_tensor(tensor);
    single_summary(value)
}

fn single_summary(value: Summary_Value) -> Summary {
    let mut summary = Summary::new();
    summary.set_value(vec![value].into());
    summary
}

pub(crate) fn bytes(message: &impl Message) -> Result<Vec<u8>> {
    message.write_to_bytes().map_err(|e| tensorboard_error(e.to_string()))
}

fn tensorboard_error(message: String) -> Error {
    Error::TensorBoard { message }
}
