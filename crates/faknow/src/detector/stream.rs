//! Judging any number of records: reading, cutting, the model and writing at once, a bounded number of records at a time.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use faknow_data::{FieldDataset, Record};
use serde_json::{Map, Value};

use crate::Result;
use crate::data::encoders::WordEncoder;
use crate::detector::{Detector, Prediction};

/// Records that are cut, judged and written together: enough to batch well.
const CHUNK: usize = 2048;

/// Chunks that wait between two stages.
const WAITING: usize = 2;

/// A record's fields, and what the detector says of its text.
pub type Classified = (Map<String, Value>, Prediction);

/// Records with their texts cut.
struct Chunk {
    fields: Vec<Map<String, Value>>,
    texts: FieldDataset,
}

impl Detector {
    /// Judges the texts of `records`, and gives them to `write` in their order, some at a time, until that answers false or all are
    /// written. Memory holds a few thousand records, however many there are.
    ///
    /// Reading and cutting texts, judging them, and writing go on at once in three threads; an error of one ends the others.
    ///
    /// # Errors
    /// A record is broken: those before it are written by then. The detector reads trees, the model fails, or `write` does.
    pub fn predict_stream<R>(
        &self,
        records: R,
        write: impl FnMut(Vec<Classified>) -> Result<bool> + Send,
    ) -> Result<()>
    where
        R: Iterator<Item = faknow_data::Result<Record>> + Send,
    {
        let words = self.word_encoder()?;
        let extra_padding = self.extra_padding();
        thread::scope(|scope| {
            let (to_model, cut) = sync_channel(WAITING);
            let (to_writer, judged) = sync_channel(WAITING);
            let reader = scope.spawn(move || cut_all(records, words, extra_padding, &to_model));
            let writer = scope.spawn(move || write_all(&judged, write));
            // Dropping its ends of the channels ends the other two.
            let done = self.judge_all(cut, to_writer);
            let written = joined(writer.join());
            let read = joined(reader.join());
            done.and(written).and(read)
        })
    }

    fn judge_all(&self, chunks: Receiver<Chunk>, to_writer: SyncSender<Vec<Classified>>) -> Result<()> {
        for Chunk { fields, texts } in chunks {
            let predictions = self.predict_all(texts)?;
            if to_writer.send(fields.into_iter().zip(predictions).collect()).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Reads and cuts until the records end, one is broken, or nobody wants more.
fn cut_all(
    mut records: impl Iterator<Item = faknow_data::Result<Record>>,
    words: &WordEncoder,
    extra_padding: usize,
    to_model: &SyncSender<Chunk>,
) -> Result<()> {
    loop {
        let (mut chunk, mut end) = (Vec::new(), None);
        while chunk.len() < CHUNK && end.is_none() {
            match records.next() {
                Some(Ok(record)) => chunk.push(record),
                Some(Err(error)) => end = Some(Err(error.into())),
                None => end = Some(Ok(())),
            }
        }
        if !chunk.is_empty() {
            let fields = chunk.iter_mut().map(|record| std::mem::take(&mut record.fields)).collect();
            // What is to be judged needs no label and no domain.
            let texts = chunk.into_iter().map(|record| Ok(Record::new(record.text)));
            let texts = words.dataset(texts, extra_padding)?;
            if to_model.send(Chunk { fields, texts }).is_err() {
                return Ok(());
            }
        }
        if let Some(end) = end {
            return end;
        }
    }
}

fn write_all(
    judged: &Receiver<Vec<Classified>>,
    mut write: impl FnMut(Vec<Classified>) -> Result<bool>,
) -> Result<()> {
    for records in judged {
        if !write(records)? {
            break;
        }
    }
    Ok(())
}

/// What a thread answered; its panic goes on here.
fn joined<T>(answer: thread::Result<T>) -> T {
    answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
