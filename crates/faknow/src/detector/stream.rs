//! Streaming prediction: concurrent reading, classification and writing of any number of samples, in bounded memory.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use faknow_data::FieldDataset;
use serde_json::{Map, Value};

use crate::Result;
use crate::data::encoders::FieldEncoders;
use crate::detector::explanation::Explanation;
use crate::detector::sample::{InputRecord, InputRecords, Sample, encode};
use crate::detector::{Detector, SamplePrediction};
use crate::models::Fields;

/// Number of texts of a chunk, large enough for efficient batches.
const TEXT_CHUNK: usize = 2048;
/// Number of trees of a chunk, which may be large.
const TREE_CHUNK: usize = 256;

/// Number of chunks that are buffered between two stages.
const CHANNEL_CAPACITY: usize = 2;

/// A classified sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Classified {
    /// The position of its record in the source, or the line of its tree, from 1; 0 if unknown.
    pub number: usize,
    /// The fields of its record.
    pub fields: Map<String, Value>,
    /// The prediction, or the reason for its absence.
    pub prediction: SamplePrediction,
    /// The explanation of the prediction, if requested.
    pub explanation: Option<Explanation>,
}

/// Encoded samples with the numbers and fields of their records.
struct Chunk {
    fields: Vec<(usize, Map<String, Value>)>,
    samples: Vec<Sample>,
    data: FieldDataset,
}

impl Detector {
    /// Classifies the samples of `records`, with explanations if `explain` is true, and passes them in order and in chunks to
    /// `write`, until it returns false or all are written. At most a few thousand samples are in memory.
    ///
    /// Three threads read and tokenize, classify, and write; an error in one of them stops the others.
    ///
    /// # Errors
    /// A record is invalid (those before it are written), a sample is not of the detector's input type, the model fails, or
    /// `write` fails.
    pub fn predict_stream(
        &self,
        records: InputRecords<'_>,
        explain: bool,
        write: impl FnMut(Vec<Classified>) -> Result<bool> + Send,
    ) -> Result<()> {
        let (encoders, model_fields) = (self.encoders(), self.fields());
        let chunk_size = match (model_fields.trees.is_some(), explain) {
            (true, _) => TREE_CHUNK,
            (false, false) => TEXT_CHUNK,
            // Explanations are so slow that larger chunks have no benefit.
            (false, true) => 1,
        };
        thread::scope(|scope| {
            let (to_model, encoded) = sync_channel(CHANNEL_CAPACITY);
            let (to_writer, classified) = sync_channel(CHANNEL_CAPACITY);
            let reader =
                scope.spawn(move || read_all(records, chunk_size, encoders, model_fields, &to_model));
            let writer = scope.spawn(move || write_all(&classified, write));
            // Dropping its ends of the channels stops the other threads.
            let classify_result = self.classify_all(encoded, to_writer, explain);
            let write_result = unwrap_thread(writer.join());
            let read_result = unwrap_thread(reader.join());
            classify_result.and(write_result).and(read_result)
        })
    }

    fn classify_all(
        &self,
        chunks: Receiver<Chunk>,
        to_writer: SyncSender<Vec<Classified>>,
        explain: bool,
    ) -> Result<()> {
        for Chunk { fields, samples, data } in chunks {
            let predictions = self.predict_all(&samples, data.clone())?;
            let explanations =
                if explain { self.explain_all(&samples, &data, &predictions)? } else { Vec::new() };
            let mut explanations = explanations.into_iter();
            let classified = fields.into_iter().zip(predictions).map(|((number, fields), prediction)| {
                Classified { number, fields, prediction, explanation: explanations.next() }
            });
            if to_writer.send(classified.collect()).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Reads and encodes samples until the end of the records, an error, or the end of classification.
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
                Some(Ok(InputRecord { number, fields: record_fields, sample })) => {
                    fields.push((number, record_fields));
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

/// Returns the result of a thread, or resumes its panic.
fn unwrap_thread<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
