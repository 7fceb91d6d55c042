//! The layers of EANN on token vectors and vectors of images.

use tch::nn::Path;
use tch::{Reduction, Tensor};

use super::eann::NAME;
use super::modalities::not_read;
use super::{EannConfig, ModalitySizes, TokenVectors};
use crate::layers::{ConvolutionShape, Linear, TextExpertSizes, TextExperts, reverse_gradient};
use crate::{Error, Loss, Result, loss};

/// Label of a post of an unknown event.
const UNKNOWN_EVENT: i64 = -1;

/// The layers of EANN on token vectors and vectors of images.
///
/// Parameters: `text_cnn_layer.convs.<i>.*`, `text_fc.*`, `image_fc.*`, `class_classifier.*`, `domain_classifier.0.*` and
/// `domain_classifier.2.*`; those of a modality that is not read do not exist.
#[derive(Debug)]
pub struct EannHead {
    text: Option<(TextExperts, Linear)>,
    image: Option<Linear>,
    classifier: Linear,
    discriminator: [Linear; 2],
    reverse_lambda: f64,
    faithful: bool,
}

/// The outputs of [`EannHead`] for a batch.
#[derive(Debug)]
pub struct EannOutput {
    /// Class logits, `[n, n_classes]`.
    pub class_logits: Tensor,
    /// Logits of the events, `[n, n_events]`.
    pub event_logits: Tensor,
}

impl EannHead {
    /// Creates the layers for vectors of these lengths.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &EannConfig,
        sizes: ModalitySizes,
        n_events: usize,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_events, n_classes)?;
        let hidden = config.hidden_size;
        let text = |size| -> Result<_> {
            let sizes =
                TextExpertSizes { size, n_filters: config.n_filters, kernel_sizes: &config.kernel_sizes };
            let cnn = TextExperts::new(&[path / "text_cnn_layer"], sizes, ConvolutionShape::TwoDimensional)?;
            Ok((cnn, Linear::new(&(path / "text_fc"), sizes.n_features(), hidden)?))
        };
        let discriminator = path / "domain_classifier";
        Ok(Self {
            text: sizes.text.map(text).transpose()?,
            image: sizes.image.map(|size| Linear::new(&(path / "image_fc"), size, hidden)).transpose()?,
            classifier: Linear::new(&(path / "class_classifier"), 2 * hidden, n_classes as i64)?,
            discriminator: [
                Linear::new(&(&discriminator / 0), 2 * hidden, config.event_hidden_size)?,
                Linear::new(&(&discriminator / 2), config.event_hidden_size, n_events as i64)?,
            ],
            reverse_lambda: config.reverse_lambda,
            faithful: config.faithful,
        })
    }

    /// Returns the features of texts, `[n, hidden_size]`.
    ///
    /// # Errors
    /// The vectors have another length, or texts are not read.
    pub fn text(&self, tokens: &TokenVectors) -> Result<Tensor> {
        let (cnn, linear) = self.text.as_ref().ok_or_else(|| not_read(NAME, "text"))?;
        let features = match self.faithful {
            true => {
                let mask = tokens.mask.f_to_kind(tokens.vectors.kind())?.f_unsqueeze(2)?;
                cnn.forward(&tokens.vectors.f_mul(&mask)?, None)?
            }
            false => tokens.features(cnn, false)?,
        };
        // The activation is monotone, so it can follow the maximum over time.
        let features = features.f_squeeze_dim(1)?.f_leaky_relu()?;
        Ok(linear.forward(&features)?.f_leaky_relu()?)
    }

    /// Returns the features of images, `[n, hidden_size]`, from their vectors `[n, size]`.
    ///
    /// # Errors
    /// The vectors have another length, or images are not read.
    pub fn image(&self, vectors: &Tensor) -> Result<Tensor> {
        let linear = self.image.as_ref().ok_or_else(|| not_read(NAME, "image"))?;
        Ok(linear.forward(vectors)?.f_leaky_relu()?)
    }

    /// Returns the class logits `[n, n_classes]` of features of texts and images, each `[n, hidden_size]`.
    ///
    /// # Errors
    /// The features have another size.
    pub fn class_logits(&self, text: &Tensor, image: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&Tensor::f_cat(&[text, image], 1)?)
    }

    /// Returns class and event logits of features of texts and images, each `[n, hidden_size]`. The gradient of the events is
    /// reversed on its way to the features.
    ///
    /// # Errors
    /// The features have another size.
    pub fn outputs(&self, text: &Tensor, image: &Tensor) -> Result<EannOutput> {
        let features = Tensor::f_cat(&[text, image], 1)?;
        let [first, second] = &self.discriminator;
        let hidden = first.forward(&reverse_gradient(&features, self.reverse_lambda)?)?;
        let hidden = if self.faithful { hidden } else { hidden.f_leaky_relu()? };
        Ok(EannOutput {
            class_logits: self.classifier.forward(&features)?,
            event_logits: second.forward(&hidden)?,
        })
    }
}

impl EannOutput {
    /// Returns the loss for classes and events, both i64 `[n]`; a post of the unknown event -1 has no loss of the event.
    ///
    /// # Errors
    /// A class or an event is out of range.
    pub fn loss(&self, labels: &Tensor, events: &Tensor) -> Result<Loss> {
        let class = loss::cross_entropy(&self.class_logits, labels)?;
        let sum = self.event_logits.f_cross_entropy_loss::<Tensor>(
            events,
            None,
            Reduction::Sum,
            UNKNOWN_EVENT,
            0.0,
        );
        let sum = sum.map_err(|error| self.event_error(events).unwrap_or_else(|| error.into()))?;
        let n_known = events.f_ne(UNKNOWN_EVENT)?.f_sum(self.event_logits.kind())?.f_clamp_min(1.0)?;
        let event = sum.f_div(&n_known)?;
        let total = class.f_add(&event)?;
        Ok(Loss { total, parts: vec![(Loss::CLASSIFICATION, class), ("event", event)] })
    }

    /// Returns the error of events that are not below the number of events, if there are any.
    fn event_error(&self, events: &Tensor) -> Option<Error> {
        let n_events = *self.event_logits.size().last()?;
        let largest = events.f_max().ok()?.f_int64_value(&[]).ok()?;
        let expected = format!("events from 0 to {}, or {UNKNOWN_EVENT}", n_events - 1);
        (largest >= n_events).then(|| Error::Batch { model: NAME, expected, got: format!("event {largest}") })
    }
}
