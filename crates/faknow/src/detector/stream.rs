//! Classifying any number of samples: reading, the model and writing at once, a bounded number of samples at a time.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use faknow_data::FieldDataset;
use serde_json::{Map, Value};

use crate::Result;
use crate::data::encoders::FieldEncoders;
use crate::detector::explanation::Explanation;
use crate::detector::sample::{InputRecord, InputRecords, Sample, encode};
use crate::detector::{Detector, Prediction};
use crate::models::Fields;

/// Texts that are classified and written together: enough to batch well.
const TEXTS: usize = 2048;
/// The same for trees, which may be large.
const TREES: usize = 256;

/// Chunks that wait between two stages.
const WAITING: usize = 2;

/// A classified sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Classified {
    /// The other fields of its record.
    pub fields: Map<String, Value>,
    /// The prediction.
    pub prediction: Prediction,
    /// The contributions to the prediction, if they were asked for.
    pub explanation: Option<Explanation>,
}

/// Samples as the model sees them.
struct Chunk {
    fields: Vec<Map<String, Value>>,
    samples: Vec<Sample>,
    data: FieldDataset,
}

impl Detector {
    /// Classifies the samples of `records`, with explanations if `explain`, and passes them to `write` in their order, some at a
    /// time, until it returns false or all are written. Memory holds a few thousand samples, however many there are.
    ///
    /// Reading and tokenizing, the model, and writing run at once in three threads; an error of one ends the others.
    ///
    /// # Errors
    /// A record is broken: those before it are written by then. The samples are not what the detector reads, the model fails, or
    /// `write` does.
    pub fn predict_stream(
        &self,
        records: InputRecords<'_>,
        explain: bool,
        write: impl FnMut(Vec<Classified>) -> Result<bool> + Send,
    ) -> Result<()> {
        let (encoders, model_fields) = (self.encoders(), self.fields());
        let chunk_size = match (model_fields.trees.is_some(), explain) {
            (true, _) => TREES,
            (false, false) => TEXTS,
            // An explanation takes so long that there is nothing to gain by more.
            (false, true) => 1,
        };
        thread::scope(|scope| {
            let (to_model, encoded) = sync_channel(WAITING);
            let (to_writer, classified) = sync_channel(WAITING);
            let reader =
                scope.spawn(move || read_all(records, chunk_size, encoders, model_fields, &to_model));
            let writer = scope.spawn(move || write_all(&classified, write));
            // Dropping its ends of the channels ends the other two.
            let done = self.classify_all(encoded, to_writer, explain);
            let written = joined(writer.join());
            let read = joined(reader.join());
            done.and(written).and(read)
        })
    }

    fn classify_all(
        &self,
        chunks: Receiver<Chunk>,
        to_writer: SyncSender<Vec<Classified>>,
        explain: bool,
    ) -> Result<()> {
        for Chunk { fields, samples, data } in chunks {
            let predictions = self.predict_all(data.clone())?;
            let explanations =
                if explain { self.explain_all(&samples, &data, &predictions)? } else { Vec::new() };
            let mut explanations = explanations.into_iter();
            let classified = fields.into_iter().zip(predictions).map(|(fields, prediction)| Classified {
                fields,
                prediction,
                explanation: explanations.next(),
            });
            if to_writer.send(classified.collect()).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Reads and encodes until the records end, one is broken, or the model ended.
fn read_all(
    mut records: InputRecords<'_>,
    chunk_size: usize,
    encoders: &FieldEncoders,
    model_fields: &Fields,
    to_model: &SyncSender<Chunk>,
) -> Result<()> {
    loop {
        let (mut fields, mut samples, mut end) = (Vec::new(), Vec::new(), None);
        while samples.len() < chunk_size && end.is_none() {
            match records.next() {
                Some(Ok(InputRecord { fields: own, sample })) => {
                    fields.push(own);
                    samples.push(sample);
                }
                Some(Err(error)) => end = Some(Err(error.into())),
                None => end = Some(Ok(())),
            }
        }
        if !samples.is_empty() {
            let data = encode(&samples, encoders, model_fields, records.source())?;
            if to_model.send(Chunk { fields, samples, data }).is_err() {
                return Ok(());
            }
        }
        if let Some(end) = end {
            return end;
        }
    }
}

fn write_all(
    classified: &Receiver<Vec<Classified>>,
    mut write: impl FnMut(Vec<Classified>) -> Result<bool>,
) -> Result<()> {
    for records in classified {
        if !write(records)? {
            break;
        }
    }
    Ok(())
}

/// Returns the result of a thread; its panic is resumed here.
fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
