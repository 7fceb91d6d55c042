//! Image encoders: equality with torchvision and EfficientNet-Lite, recognition of architectures, missing images.

use std::path::{Path, PathBuf};

use faknow_data::FieldBatch;
use faknow_data::image::Images;
use faknow_data::text::Encoded;
use faknow_model::content::{ImageInput, OneImage};
use faknow_model::image::{ImageEncoder, ImageOutput, PretrainedImageEncoder};
use faknow_model::layers::MissingEmbedding;
use faknow_model::{Mode, pixel_contributions, weights};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::golden::{Tensors, assert_close};

/// The files of `make_image_encoders.py` and the names of their architectures.
const CASES: [(&str, &str); 5] = [
    ("resnet_basic", "ResNet-12"),
    ("resnet_bottleneck", "ResNet-17"),
    ("vgg", "VGG-7"),
    ("vgg_norm", "VGG-6"),
    ("efficientnet_lite0", "EfficientNet-Lite0"),
];

const OUTPUTS: [(&str, ImageOutput); 5] = [
    ("logits", ImageOutput::Logits),
    ("first_hidden", ImageOutput::FirstHidden),
    ("second_hidden", ImageOutput::SecondHidden),
    ("pooled", ImageOutput::Pooled),
    ("regions", ImageOutput::Regions),
];

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images")
}

fn read(name: &str) -> Tensors {
    weights::read(&dir().join(format!("{name}.safetensors"))).unwrap()
}

/// Returns the weights of a case, with a prefix.
fn parameters(tensors: &Tensors, prefix: &str) -> Tensors {
    let parameters = tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix("param.")?, t)));
    parameters.map(|(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone())).collect()
}

fn pretrained(tensors: &Tensors) -> PretrainedImageEncoder {
    PretrainedImageEncoder::new(parameters(tensors, ""), PathBuf::from("weights.pth")).unwrap()
}

fn build(pretrained: &PretrainedImageEncoder, kind: Kind) -> (VarStore, ImageEncoder) {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    let encoder = pretrained.build(&vars.root()).unwrap();
    (vars, encoder)
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}

#[test]
fn image_encoders_equal_torchvision() {
    let _generator = crate::generator();
    for (name, architecture) in CASES {
        let tensors = read(name);
        let pretrained = pretrained(&tensors);
        assert_eq!(pretrained.architecture().name(), architecture);
        for (kind, tolerance) in [(Kind::Double, 1e-9), (Kind::Float, 1e-5)] {
            let (vars, trained) = build(&pretrained, kind);
            let frozen = pretrained.build_frozen((kind, Device::Cpu)).unwrap();
            assert!(!vars.trainable_variables().is_empty());
            for (output_name, output) in OUTPUTS {
                // What the reference lacks is the same as the pooled output.
                let Some(expected) = tensors.get(&format!("out.{output_name}")) else {
                    let same =
                        if name.starts_with("vgg") { ImageOutput::SecondHidden } else { ImageOutput::Pooled };
                    let run = |output| trained.forward(&tensors["in.pixels"], output, Mode::Eval).unwrap();
                    assert_eq!(run(output), run(same), "{name} {output_name}");
                    continue;
                };
                let expected =
                    if expected.dim() == 2 { expected.unsqueeze(1) } else { expected.shallow_clone() };
                assert_eq!(pretrained.size(output), expected.size().last().copied(), "{name} {output_name}");
                for (how, encoder) in [("trained", &trained), ("frozen", &frozen)] {
                    let ours = encoder.forward(&tensors["in.pixels"], output, Mode::Eval).unwrap();
                    assert_eq!((ours.kind(), ours.requires_grad()), (kind, how == "trained"));
                    assert_close(&format!("{name} {output_name} {how}"), &ours, &expected, tolerance, 1.0);
                }
            }
        }
    }
}

#[test]
fn weights_may_have_a_prefix_and_lack_fully_connected_layers() {
    let _generator = crate::generator();
    for (name, _) in CASES {
        let tensors = read(name);
        let (_vars, expected) = build(&pretrained(&tensors), Kind::Float);
        let expected = expected.forward(&tensors["in.pixels"], ImageOutput::Regions, Mode::Eval).unwrap();
        for prefix in ["module.", "model.backbone."] {
            let mut weights = parameters(&tensors, prefix);
            weights.retain(|name, _| !name.contains("fc.") && !name.contains("classifier"));
            let pretrained = PretrainedImageEncoder::new(weights, PathBuf::new()).unwrap();
            assert_eq!(pretrained.size(ImageOutput::Logits), None);
            let (vars, encoder) = build(&pretrained, Kind::Float);
            assert!(vars.variables().keys().all(|name| !name.starts_with("mod")));
            let run = |output| encoder.forward(&tensors["in.pixels"], output, Mode::Eval);
            assert_eq!(run(ImageOutput::Regions).unwrap(), expected);
            let error = run(ImageOutput::Logits).unwrap_err().to_string();
            assert!(error.contains("with the layers of the output Logits"), "{error}");
        }
    }
}

#[test]
fn encoders_are_built_from_files_and_rebuilt_from_their_own_variables() {
    let _generator = crate::generator();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resnet.safetensors");
    let tensors = read("resnet_basic");
    weights::save_tensors(&parameters(&tensors, ""), &path).unwrap();
    let (vars, encoder) = build(&PretrainedImageEncoder::open(&path).unwrap(), Kind::Float);
    let copy = PretrainedImageEncoder::new(weights::snapshot(&vars), PathBuf::new()).unwrap();
    let (_vars, copy) = build(&copy, Kind::Float);
    let run = |encoder: &ImageEncoder| {
        encoder.forward(&tensors["in.pixels"], ImageOutput::Logits, Mode::Eval).unwrap()
    };
    assert_eq!(run(&encoder), run(&copy));
    assert!(run(&encoder).std(true).double_value(&[]) > 0.01);
}

#[test]
fn errors_name_the_file_and_the_weights() {
    let _generator = crate::generator();
    let check = |case: &str, change: &dyn Fn(&mut Tensors), expected: &[&str]| {
        let mut weights = parameters(&read(case), "");
        change(&mut weights);
        let pretrained = PretrainedImageEncoder::new(weights, PathBuf::from("weights.pth"));
        let vars = VarStore::new(Device::Cpu);
        let error = pretrained.and_then(|it| it.build(&vars.root())).unwrap_err().to_string();
        for part in ["weights.pth"].iter().chain(expected) {
            assert!(error.contains(part), "{error}");
        }
    };
    let zeros = |dims: &[i64]| Tensor::zeros(dims, tch::kind::FLOAT_CPU);
    let remove = |name: &'static str| move |weights: &mut Tensors| drop(weights.remove(name).unwrap());
    let set = |name: &'static str, dims: &'static [i64]| {
        move |weights: &mut Tensors| drop(weights.insert(name.to_owned(), zeros(dims)))
    };
    let unknown = |weights: &mut Tensors| {
        *weights = Tensors::from([("stem.conv.weight".to_owned(), zeros(&[1]))]);
    };
    check(
        "vgg",
        &unknown,
        &["unknown architecture", "ResNet (`layer1.0.conv1.weight`)", "1 other", "`stem.conv.weight`"],
    );
    check("resnet_basic", &remove("conv1.weight"), &["missing `conv1.weight`"]);
    check("resnet_basic", &remove("layer2.0.conv1.weight"), &["missing `layer2.0.conv1.weight`"]);
    check("resnet_basic", &remove("layer3.1.bn2.running_var"), &["missing `layer3.1.bn2.running_var` [12]"]);
    check(
        "resnet_basic",
        &remove("layer2.0.downsample.1.bias"),
        &["missing `layer2.0.downsample.1.bias` [6]"],
    );
    check("resnet_basic", &remove("fc.bias"), &["missing `fc.bias` [5]"]);
    check(
        "resnet_basic",
        &set("layer1.1.conv1.weight", &[3, 2, 3, 3]),
        &["expected [3, 3, 3, 3], got [3, 2, 3, 3]"],
    );
    check("resnet_basic", &set("conv1.weight", &[3]), &["`conv1.weight`: expected 4 dimensions", "got [3]"]);
    check("resnet_basic", &set("layer1.0.se.fc.weight", &[3]), &["unexpected `layer1.0.se.fc.weight`"]);
    check("resnet_bottleneck", &set("layer1.0.conv2.weight", &[2, 1, 3, 3]), &["expected [2, 2, 3, 3]"]);
    check("vgg", &set("features.0.weight", &[3, 3, 11, 11]), &["expected a kernel of 3x3 pixels"]);
    check("vgg", &remove("features.3.bias"), &["missing `features.3.bias` [4]"]);
    check("vgg", &set("classifier.0.weight", &[6, 17]), &["4 inputs for each cell of a square grid, got 17"]);
    check("efficientnet_lite0", &remove("_conv_head.weight"), &["missing `_conv_head.weight`"]);
    let squeeze = set("_blocks.0._se_reduce.weight", &[1, 4, 1, 1]);
    check("efficientnet_lite0", &squeeze, &["no squeeze-and-excitation"]);
    let deeper = set("_blocks.16._project_conv.weight", &[5, 5, 1, 1]);
    check("efficientnet_lite0", &deeper, &["expected 16 blocks, as EfficientNet-Lite0 has, got 17"]);
}

/// Returns a batch of images of which the second is missing.
fn batch(pixels: &Tensor, present: &[bool]) -> FieldBatch {
    let images = Images::new(pixels.shallow_clone(), Tensor::from_slice(present)).unwrap();
    FieldBatch { images: Some(images), ..FieldBatch::new(present.len()) }
}

#[test]
fn missing_images_do_not_affect_others() {
    let _generator = crate::generator();
    let pretrained = PretrainedImageEncoder::small();
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    let input = ImageInput::new(&vars.root(), &pretrained, ImageOutput::Pooled, false).unwrap();
    assert!(matches!(input, ImageInput::Trained(..)), "an encoder with random weights is trained");
    assert_eq!((input.size(), pretrained.size(ImageOutput::Pooled)), (128, Some(128)));
    let pixels = Tensor::randint(256, [3, 3, 40, 40], (Kind::Uint8, Device::Cpu));
    let run = |batch: &FieldBatch, mode| input.forward(batch, mode).unwrap();
    let statistics = || vars.variables()["bn1.running_mean"].copy();
    let before = statistics();
    let all = run(&batch(&pixels, &[true, true, true]), Mode::Eval);
    assert_eq!(statistics(), before);
    let two = Tensor::cat(&[pixels.narrow(0, 0, 1), pixels.narrow(0, 2, 1)], 0);
    let expected = run(&batch(&two, &[true, true]), Mode::Train).vector().unwrap();
    assert!(difference(&statistics(), &before) > 1e-3);
    let some = run(&batch(&pixels, &[true, false, true]), Mode::Train).vector().unwrap();
    assert!(difference(&some.index_select(0, &Tensor::from_slice(&[0_i64, 2])), &expected) < 1e-12);
    assert_eq!(some.get(1), some.get(1).zeros_like());
    let none = run(&batch(&pixels, &[false, false, false]), Mode::Train);
    assert_eq!(none.vectors, all.vectors.zeros_like());
    some.sum(Kind::Double).backward();
    assert!(vars.variables()["conv1.weight"].grad().abs().sum(Kind::Double).double_value(&[]) > 0.0);
}

#[test]
fn frozen_encoders_read_vectors_that_were_computed_before() {
    let _generator = crate::generator();
    let tensors = read("vgg");
    let vars = VarStore::new(Device::Cpu);
    let input = ImageInput::new(&vars.root(), &pretrained(&tensors), ImageOutput::Regions, false).unwrap();
    assert!(vars.is_empty(), "a frozen encoder is not part of the model");
    let mut batch = batch(&tensors["in.pixels"], &[true, false]);
    let expected = input.forward(&batch, Mode::Train).unwrap();
    assert_eq!(expected.vectors.size(), [2, 5 * 4, 4]);
    assert!(expected.vector().unwrap_err().to_string().contains("expected one vector per image"));
    assert!(!expected.vectors.requires_grad());
    batch.encoded_images =
        Some(Encoded::new(expected.vectors.copy(), Tensor::from_slice(&[20_i64, 0])).unwrap());
    batch.images = None;
    let encoded = input.forward(&batch, Mode::Train).unwrap();
    assert_eq!((encoded.vectors, encoded.present), (expected.vectors, expected.present));
    let trained = ImageInput::new(&vars.root(), &pretrained(&tensors), ImageOutput::Pooled, true).unwrap();
    let error = trained.forward(&batch, Mode::Eval).unwrap_err().to_string();
    assert!(error.contains("images"), "{error}");
    let error = ImageInput::new(&vars.root(), &PretrainedImageEncoder::small(), ImageOutput::Logits, true);
    assert!(
        error.unwrap_err().to_string().contains("`output`: expected a layer that the file of ResNet-18 has")
    );
}

#[test]
fn missing_features_are_replaced_by_a_learned_vector() {
    let vars = VarStore::new(Device::Cpu);
    let missing = MissingEmbedding::new(&(vars.root() / "missing_image"), 2).unwrap();
    let mut embedding = vars.variables().remove("missing_image.embedding").unwrap();
    assert_eq!(embedding, Tensor::from_slice(&[0.0_f32, 0.0]));
    tch::no_grad(|| embedding.copy_(&Tensor::from_slice(&[5.0_f32, 6.0])));
    let present = Tensor::from_slice(&[true, false]);
    let rows = Tensor::from_slice2(&[[1.0_f32, 2.0], [3.0, 4.0]]);
    assert_eq!(missing.forward(&rows, &present).unwrap(), Tensor::from_slice2(&[[1.0_f32, 2.0], [5.0, 6.0]]));
    let sequences = rows.unsqueeze(1).expand([2, 3, 2], false);
    let replaced = missing.forward(&sequences, &present).unwrap();
    assert_eq!(replaced.get(1), Tensor::from_slice2(&[[5.0_f32, 6.0]; 3]));
    replaced.sum(Kind::Float).backward();
    assert_eq!(embedding.grad(), Tensor::from_slice(&[3.0_f32, 3.0]));
}

#[test]
fn contributions_of_pixels_sum_to_the_difference_of_the_log_odds() {
    let _generator = crate::generator();
    for (case, height, width) in [("resnet_basic", 45, 38), ("vgg", 40, 33)] {
        let tensors = read(case);
        let mut vars = VarStore::new(Device::Cpu);
        vars.set_kind(Kind::Double);
        let input = ImageInput::new(&vars.root(), &pretrained(&tensors), ImageOutput::Logits, false).unwrap();
        let pixels = tensors["in.pixels"].narrow(0, 0, 1);
        let one = batch(&pixels, &[true]);
        let logits = |vectors: &faknow_model::content::ImageVectors, _: &FieldBatch| vectors.vector();
        let model = OneImage::new(&input, &one, logits).unwrap();
        let run = || pixel_contributions(&model, 1, &mut || true).unwrap().unwrap();
        let map = run();
        assert_eq!((map.size, map.pixels.len()), ([height, width], height * width));
        assert_eq!(map, run());
        let difference = map.output - map.baseline;
        assert!(map.residual().abs() < 0.1 * difference.abs(), "{case}: {} of {difference}", map.residual());
        let expected = input.forward(&one, Mode::Eval).unwrap().vector().unwrap();
        let scores = Vec::<f64>::try_from(expected.get(0)).unwrap();
        let others: f64 = scores.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, z)| z.exp()).sum();
        assert!((map.output - scores[1] + others.ln()).abs() < 1e-9);
        let mut n_calls = 0;
        let stopped = pixel_contributions(&model, 1, &mut || {
            n_calls += 1;
            n_calls < 3
        });
        assert_eq!((stopped.unwrap(), n_calls), (None, 3));
        assert!(pixel_contributions(&model, 9, &mut || true).is_err());
        let missing = batch(&pixels, &[false]);
        assert!(OneImage::new(&input, &missing, logits).is_none());
    }
}

/// Returns the file of EfficientNet-Lite0, in `$FAKNOW_CACHE_DIR/encoders` or `~/.cache/faknow/encoders`.
fn efficientnet_lite0() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/faknow"));
    let cache = std::env::var_os("FAKNOW_CACHE_DIR").map(PathBuf::from).or_else(home)?;
    let file = cache.join("encoders/efficientnet-lite0/efficientnet-lite0-57934424.pth");
    file.exists().then_some(file)
}

#[test]
fn pretrained_efficientnet_lite0_equals_its_package() {
    let Some(file) = efficientnet_lite0() else {
        crate::skip::check("efficientnet-lite0").unwrap();
        println!(
            "SKIPPED: EfficientNet-Lite0 is missing, install it with: cargo xtask encoder efficientnet-lite0"
        );
        return;
    };
    let expected = read("pretrained");
    let pretrained = PretrainedImageEncoder::open(&file).unwrap();
    assert_eq!(pretrained.size(ImageOutput::Logits), Some(1000));
    let index = Tensor::arange(3 * 224 * 224, tch::kind::INT64_CPU).view([1, 3, 224, 224]);
    let pixels = (index * 7).divide_scalar_mode(13, "floor").remainder(256).to_kind(Kind::Uint8);
    let (_vars, trained) = build(&pretrained, Kind::Float);
    for encoder in [trained, pretrained.build_frozen((Kind::Float, Device::Cpu)).unwrap()] {
        let run = |output, region| {
            let vectors = encoder.forward(&pixels, output, Mode::Eval).unwrap();
            vectors.get(0).get(region).narrow(0, 0, 32)
        };
        for (name, output, region) in [
            ("pooled", ImageOutput::Pooled, 0),
            ("logits", ImageOutput::Logits, 0),
            ("regions", ImageOutput::Regions, 24),
        ] {
            let expected = expected[&format!("out.{name}")].to_kind(Kind::Double);
            assert!(expected.std(true).double_value(&[]) > 1e-3, "{name}");
            assert_close(name, &run(output, region), &expected, 1e-5, 1.0);
        }
    }
}
