//! Predictions for encoded samples.

use faknow_callbacks::Phase;
use faknow_data::{Dataset as _, FieldDataset, Loader as _, Record, TokenCounts};
use faknow_trainer::{Location, predict_batch};

use crate::Result;
use crate::data::corpus::eval_loader;
use crate::data::features::FeatureProblem;
use crate::detector::sample_prediction::reason_against;
use crate::detector::{Detector, NoPrediction, Sample, SamplePrediction};

impl Detector {
    /// Classifies samples, which `data` contains in the same order.
    pub(crate) fn predict_all(
        &self,
        samples: &[Sample],
        data: FieldDataset,
    ) -> Result<Vec<SamplePrediction>> {
        let n_samples = data.n_samples();
        if n_samples == 0 {
            return Ok(Vec::new());
        }
        let features = self.encoders.node_features();
        let counts = self.encoders.token_counts(&data)?;
        // A model of images classifies those without a text, too.
        let has_images: Vec<bool> = (0..n_samples).map(|row| data.image_key(row).is_some()).collect();
        let uses_domains = self.fields.domains.as_ref().is_some_and(|domains| !domains.is_for_training);
        let reads_texts = self.fields.words.as_ref().is_none_or(|words| !words.is_unused);
        let loader = eval_loader(data, &self.config.loader)?;
        let mut rows = vec![Vec::new(); n_samples];
        for (index, batch) in loader.batches(0, 0).enumerate() {
            let batch = batch?;
            let indices = batch.indices.clone();
            let location = Location { phase: Phase::Test, epoch: 0, batch: index + 1 };
            for (row, scores) in
                indices.into_iter().zip(predict_batch(&self.model, batch, self.device, location)?)
            {
                rows[row] = scores;
            }
        }
        let predict = |(row, ((sample, counts), scores)): (usize, ((&Sample, TokenCounts), Vec<f64>))| {
            let of_texts = reason_against(sample, counts, features);
            let reason = match (reads_texts, has_images[row]) {
                (true, false) => of_texts,
                (false, false) => Some(NoPrediction::NoImage),
                (_, true) => None,
            };
            let reason = reason.or_else(|| self.reason_against_features(sample));
            let outcome = match reason.filter(|_| !self.predicts_unknown) {
                Some(reason) => Err(reason),
                None => Ok(self.calibrated.decision.predict(self.classes.names(), &scores)?),
            };
            // Neither are the tokens of a placeholder such as `NaN` those of a text, nor empty nodes known.
            let known_tokens = if reason.is_some() { 0 } else { counts.n_known };
            let lacks_domain = uses_domains && !self.knows_domain_of(sample);
            Ok(SamplePrediction { outcome, known_tokens, n_tokens: counts.n_tokens, lacks_domain })
        };
        samples.iter().zip(counts).zip(rows).enumerate().map(predict).collect()
    }

    fn knows_domain_of(&self, sample: &Sample) -> bool {
        let domain = match sample {
            Sample::Record(record) => record.domain.as_ref(),
            _ => None,
        };
        domain.is_some_and(|domain| self.encoders.domains.contains(domain))
    }

    fn reason_against_features(&self, sample: &Sample) -> Option<NoPrediction> {
        let problem = match sample {
            Sample::Text(_) => self.encoders.feature_problem(&Record::default()),
            Sample::Record(record) => self.encoders.feature_problem(record),
            _ => None,
        };
        problem.map(|problem| match problem {
            FeatureProblem::Missing { .. } => NoPrediction::MissingFeatures,
            FeatureProblem::Size { .. } => NoPrediction::FeatureSize,
        })
    }
}
