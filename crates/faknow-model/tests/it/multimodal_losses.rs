//! The losses of EANN, SAFE and CAFE: events, similarity of text and image, alignment.

use faknow_model::content::{
    Cafe, CafeConfig, CafeHead, CafeInput, Eann, EannConfig, ImageVectors, ModalitySizes, SafeConfig,
    SafeFeatures, SafeHead, SafeSentence, TokenVectors,
};
use faknow_model::{Loss, Mode, Model};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::golden::assert_close;
use crate::multimodal::{
    SOURCE, Settings, build, cafe, double, eann, for_model, image_encoder, logits, posts, safe,
};

const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

fn part(loss: &Loss, name: &str) -> f64 {
    loss.parts.iter().find(|(part, _)| *part == name).unwrap().1.double_value(&[])
}

/// Returns the model and its loss on all posts.
fn eann_loss(vars: &VarStore, config: &EannConfig) -> (Eann, Loss) {
    tch::manual_seed(3);
    let model = Eann::new(&vars.root(), config, &SOURCE, Some(&image_encoder()), 3, 3).unwrap();
    let loss = model.forward(&for_model("eann", posts(&ALL, 6)), Mode::Train).unwrap().loss.unwrap();
    (model, loss)
}

#[test]
fn eann_features_hide_the_event_that_the_discriminator_learns() {
    let _generator = crate::generator();
    let gradient = |lambda: f64, name: &str| {
        let vars = double();
        let config = EannConfig { reverse_lambda: lambda, ..eann(&Settings::default()) };
        eann_loss(&vars, &config).1.total.backward();
        vars.variables()[name].grad().copy()
    };
    let of_features = [0.0, 1.0, 2.5].map(|lambda| gradient(lambda, "text_fc.weight"));
    let reversed = &of_features[1] - &of_features[0];
    assert_close("factor", &((&of_features[2] - &of_features[0]) / 2.5), &reversed, 1e-12, 1e-3);
    let of_discriminator = gradient(1.0, "domain_classifier.0.weight");
    assert_close("events", &gradient(2.5, "domain_classifier.0.weight"), &of_discriminator, 1e-12, 1e-3);
    // A step against the gradient: of the features, it increases the loss of the event; of the discriminator, it decreases it.
    for (name, gradient, is_larger) in
        [("text_fc.weight", reversed, true), ("domain_classifier.0.weight", of_discriminator, false)]
    {
        let vars = double();
        let (model, before) = eann_loss(&vars, &eann(&Settings::default()));
        tch::no_grad(|| {
            let mut weight = vars.variables().remove(name).unwrap();
            weight.copy_(&(&weight - gradient * 0.01));
        });
        let after = model.forward(&for_model("eann", posts(&ALL, 6)), Mode::Train).unwrap().loss.unwrap();
        let (before, after) = (part(&before, "event"), part(&after, "event"));
        assert_eq!(after > before, is_larger, "{name}: {before} to {after}");
    }
}

#[test]
fn eann_posts_of_unknown_events_count_in_the_loss_of_the_classes_only() {
    let _generator = crate::generator();
    let vars = double();
    let (model, all) = eann_loss(&vars, &eann(&Settings::default()));
    let loss = |rows: &[usize]| {
        model.forward(&for_model("eann", posts(rows, 6)), Mode::Train).unwrap().loss.unwrap()
    };
    // The third and the last post have no known event.
    let known = loss(&[0, 1, 3, 4]);
    assert!((part(&all, "event") - part(&known, "event")).abs() < 1e-12);
    assert!((part(&all, "classification") - part(&known, "classification")).abs() > 1e-6);
    let unknown = loss(&[2, 5]);
    assert_eq!(part(&unknown, "event"), 0.0);
    assert_eq!(unknown.total.double_value(&[]), part(&unknown, "classification"));
    // Evaluation and prediction need no events.
    let mut batch = for_model("eann", posts(&ALL, 6));
    batch.domains = None;
    let eval = model.forward(&batch, Mode::Eval).unwrap().loss.unwrap().total.double_value(&[]);
    assert!((eval - part(&all, "classification")).abs() < 1e-12);
    assert!(model.forward(&batch, Mode::Train).unwrap_err().to_string().contains("`domains`"));
    batch.domains = Some(Tensor::from_slice(&[0i64, 1, 3, 0, 0, 0]));
    let error = model.forward(&batch, Mode::Train).unwrap_err().to_string();
    assert_eq!(error, "EANN: batch: expected events from 0 to 2, or -1, got event 3");
}

#[test]
fn eann_freezes_word_vectors_and_is_linear_in_faithful_mode() {
    let _generator = crate::generator();
    let vars = double();
    let (_, loss) = eann_loss(&vars, &EannConfig { faithful: true, ..eann(&Settings::default()) });
    loss.total.backward();
    assert!(!vars.variables()["embed.weight"].requires_grad());
    assert!(vars.variables()["text_fc.weight"].grad().defined());
    let vars = double();
    let (_, other) = eann_loss(&vars, &eann(&Settings::default()));
    assert!(vars.variables()["embed.weight"].requires_grad());
    assert!((part(&other, "event") - part(&loss, "event")).abs() > 1e-9);
}

fn features(values: &[[f64; 2]], present: &[bool]) -> SafeFeatures {
    SafeFeatures { features: Tensor::from_slice2(values), present: Tensor::from_slice(present) }
}

#[test]
fn safe_similarity_is_high_for_the_real_class() {
    let _generator = crate::generator();
    let new = |config: &SafeConfig| {
        SafeHead::new(&double().root(), config, 4, &[SafeSentence::Body, SafeSentence::Image], 2).unwrap()
    };
    let head = new(&SafeConfig { similarity_weight: 2.0, ..safe(&Settings::default()) });
    // Equal, orthogonal, opposite, and a post without image.
    let texts = features(&[[1.0, 2.0], [1.0, 0.0], [1.0, 1.0], [1.0, 0.0]], &[true; 4]);
    let images = features(&[[2.0, 4.0], [0.0, 3.0], [-2.0, -2.0], [9.0, 9.0]], &[true, true, true, false]);
    let similarity = head.similarity(&[&texts], &images).unwrap();
    let values = similarity.values.narrow(0, 0, 3);
    assert_close("similarity", &values, &Tensor::from_slice(&[1.0, 0.5, 0.0]), 1e-7, 1.0);
    let logits = Tensor::zeros([4, 2], (Kind::Double, Device::Cpu));
    let loss = |head: &SafeHead, labels: [i64; 4]| {
        part(&head.loss(&logits, Some(&similarity), &Tensor::from_slice(&labels)).unwrap(), "similarity")
    };
    // Class 0 is real: the mean over the three posts with an image.
    assert!((loss(&head, [0, 0, 1, 0]) - 2.0 / 3.0 * 2f64.ln()).abs() < 1e-6);
    assert_eq!(loss(&head, [0, 0, 1, 0]), loss(&head, [0, 0, 1, 1]));
    let opposite = loss(&head, [1, 0, 0, 0]);
    assert!(opposite > 5.0 && opposite.is_finite(), "{opposite}");
    let of_second = new(&SafeConfig { real_class: 1, similarity_weight: 2.0, ..safe(&Settings::default()) });
    assert_eq!(loss(&of_second, [0, 1, 1, 0]), opposite);
    // FaKnow's logarithm is not bounded.
    let faithful = new(&SafeConfig { faithful: true, ..safe(&Settings::default()) });
    let exact = features(&[[1.0, 0.0]], &[true]);
    let same = faithful.similarity(&[&exact], &exact).unwrap();
    let same = faknow_model::content::Similarity { values: same.values.ceil(), present: same.present };
    let infinite = faithful.loss(&logits.narrow(0, 0, 1), Some(&same), &Tensor::from_slice(&[1i64]));
    assert!(part(&infinite.unwrap(), "similarity").is_infinite());
    let finite = head.loss(&logits.narrow(0, 0, 1), Some(&same), &Tensor::from_slice(&[1i64]));
    assert!(part(&finite.unwrap(), "similarity").is_finite());
}

/// Returns the input of CAFE for `n` posts, of which some lack their image.
fn cafe_input(n: i64, has_image: &[bool]) -> CafeInput {
    let values = |shape: [i64; 3], seed: i64| {
        (Tensor::arange(shape.iter().product::<i64>(), (Kind::Double, Device::Cpu)) + seed).sin().view(shape)
    };
    let mask = Tensor::ones([n, 5], (Kind::Bool, Device::Cpu));
    let images = ImageVectors { vectors: values([n, 1, 4], 7), present: Tensor::from_slice(has_image) };
    CafeInput { tokens: Some(TokenVectors::new(values([n, 5, 6], 3), mask)), images: Some(images) }
}

#[test]
fn cafe_aligns_text_and_image_of_real_posts_only() {
    let _generator = crate::generator();
    let vars = double();
    let config = CafeConfig { faithful: true, ..cafe(&Settings::default()) };
    let sizes = ModalitySizes { text: Some(6), image: Some(4) };
    let head = CafeHead::new(&vars.root(), &config, sizes, 2).unwrap();
    let loss = |labels: &[i64], has_image: &[bool]| {
        let input = cafe_input(labels.len() as i64, has_image);
        head.similarity_loss(&input, &Tensor::from_slice(labels), Mode::Eval).unwrap()
    };
    // Class 0 is real; one real post with an image has no other image.
    assert!(loss(&[1, 1, 1], &[true; 3]).is_none());
    assert!(loss(&[0, 1, 1], &[true; 3]).is_none());
    assert!(loss(&[0, 0, 1], &[true, false, true]).is_none());
    for n in [2usize, 3, 4, 6] {
        let found = loss(&vec![0; n], &vec![true; n]).unwrap().double_value(&[]);
        let output = head.outputs(&cafe_input(n as i64, &vec![true; n]), n as i64, Mode::Eval).unwrap();
        let [texts, images] = output.aligned.unwrap();
        let cosine = |images: &Tensor| Tensor::cosine_similarity(&texts, images, 1, 1e-8);
        // With three posts, FaKnow's roll by three gives every text its own image as one that does not match.
        let others = images.roll([if n == 3 { 1 } else { 3 }], [0]);
        let matching: Tensor = 1.0 - cosine(&images);
        let expected = matching.mean(Kind::Double) + cosine(&others).clamp_min(0.0).mean(Kind::Double);
        assert!((found - expected.double_value(&[]) / 2.0).abs() < 1e-6, "{n}");
    }
    // The gradient is that of the alignment alone.
    head.similarity_loss(&cafe_input(4, &[true; 4]), &Tensor::from_slice(&[0i64; 4]), Mode::Train)
        .unwrap()
        .unwrap()
        .backward();
    for (name, tensor) in vars.variables() {
        let is_trained = tensor.grad().defined();
        let is_alignment = name.starts_with("similarity_module.");
        assert!(!is_trained || is_alignment, "{name}");
        assert!(is_trained || !is_alignment || name.contains("running"), "{name}");
    }
}

#[test]
fn cafe_alignment_learns_from_its_own_loss() {
    let _generator = crate::generator();
    let vars = double();
    tch::manual_seed(3);
    let model =
        Cafe::new(&vars.root(), &cafe(&Settings::default()), &SOURCE, Some(&image_encoder()), 3).unwrap();
    let batch = for_model("cafe", posts(&ALL, 6));
    let alignment: Vec<Tensor> = vars
        .variables()
        .into_iter()
        .filter_map(|(name, tensor)| name.starts_with("similarity_module.").then_some(tensor))
        .filter(Tensor::requires_grad)
        .collect();
    let mut losses = Vec::new();
    for _ in 0..60 {
        let loss = model.auxiliary_loss(&batch).unwrap().unwrap();
        losses.push(loss.double_value(&[]));
        loss.backward();
        tch::no_grad(|| {
            for tensor in &alignment {
                let gradient = tensor.grad();
                tensor.shallow_clone().copy_(&(tensor - gradient * 0.3));
                tensor.shallow_clone().zero_grad();
            }
        });
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < 0.8 * first, "{first} to {last}");
    let mut unlabeled = batch;
    unlabeled.labels = None;
    assert!(model.auxiliary_loss(&unlabeled).unwrap().is_none());
}

#[test]
fn cafe_predicts_from_means_and_trains_on_samples() {
    let _generator = crate::generator();
    let vars = double();
    let encoder = image_encoder();
    let model = build(&vars, "cafe", &Settings::default(), &SOURCE, Some(&encoder)).unwrap();
    let batch = for_model("cafe", posts(&ALL, 6));
    assert_eq!(logits(&model, &batch), logits(&model, &batch));
    let train = || model.forward(&batch, Mode::Train).unwrap().logits;
    assert!((train() - train()).abs().max().double_value(&[]) > 1e-6);
}
