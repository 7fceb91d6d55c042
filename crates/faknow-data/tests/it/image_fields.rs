//! Images of records and datasets: reading, problems, batches, storage, encoded images.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use expect_test::expect;
use faknow_data::image::{ImageOptions, ImageSource, OnImageProblem, Resize};
use faknow_data::synth::{SynthOptions, write_multimodal};
use faknow_data::text::{EncodedStore, Tokenizer, TokenizerConfig, VocabOptions};
use faknow_data::{
    Classes, ColumnMap, DataLoader, Dataset as _, FieldDataset, KnownLayout, Loader as _, ReadOptions,
    Record, RecordReader, Result, inspect, read_all, recognize,
};
use tch::{Kind, Tensor};

use crate::support::Dir;

fn read_options() -> ReadOptions {
    let columns = ColumnMap {
        text: Some("text".into()),
        label: Some("label".into()),
        image: Some("image".into()),
        ..ColumnMap::default()
    };
    ReadOptions { columns, ..ReadOptions::default() }
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images").join(name)).unwrap()
}

/// Returns a directory with images: `a.png`, its copy `b.png`, `c.jpg`.
fn dir() -> Dir {
    let dir = Dir::new();
    fs::create_dir(dir.0.path().join("photos")).unwrap();
    for (name, image) in [("a.png", "rgb.png"), ("b.png", "rgb.png"), ("c.jpg", "gray.jpg")] {
        dir.file(&format!("photos/{name}"), golden(image));
    }
    dir
}

fn build(records: impl IntoIterator<Item = Result<Record>>) -> Result<FieldDataset> {
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let records: Vec<_> = records.into_iter().collect();
    Ok(FieldDataset::build(records, &tokenizer, &VocabOptions::default())?.0)
}

fn small() -> ImageOptions {
    ImageOptions { size: 8, ..ImageOptions::default() }
}

fn accepting() -> ImageOptions {
    ImageOptions { on_problem: OnImageProblem::Missing, ..small() }
}

const POSTS: &str = r#"{"text": "both", "image": "photos/a.png", "label": 0}
{"text": "text only", "image": null, "label": 1}
{"text": "", "image": "photos/b.png", "label": 0}
{"image": ["", "photos/c.jpg", "x"], "label": 1}
{"text": "no key", "label": 1}
"#;

fn read(dir: &Dir, name: &str, content: &str) -> Result<Vec<Record>> {
    let classes = Classes::new(["real", "fake"]).unwrap();
    RecordReader::open(dir.file(name, content), &read_options(), Some(&classes))?.collect()
}

fn posts(dir: &Dir) -> FieldDataset {
    build(read(dir, "posts.jsonl", POSTS).unwrap().into_iter().map(Ok)).unwrap()
}

fn values(data: &FieldDataset, indices: &[usize]) -> (Vec<u8>, Vec<bool>) {
    let batch = data.batch(indices).unwrap();
    let images = batch.images().unwrap();
    let n = indices.len() as i64;
    assert_eq!((images.pixels.size(), images.pixels.kind()), (vec![n, 3, 8, 8], Kind::Uint8));
    (
        Vec::try_from(images.pixels.flatten(0, -1)).unwrap(),
        Vec::try_from(images.present.to_kind(Kind::Bool)).unwrap(),
    )
}

#[test]
fn records_have_images_with_or_without_a_text() {
    let dir = dir();
    let path = |name: &str| Some(ImageSource::File(dir.0.path().join("photos").join(name)));
    let expected = [
        ("both", path("a.png")),
        ("text only", None),
        ("", path("b.png")),
        ("", path("c.jpg")),
        ("no key", None),
    ];
    let csv = "text,image,label\nboth,photos/a.png,0\ntext only,,1\n,photos/b.png,0\nnan,\"[\"\"\"\", \"\"photos/c.jpg\"\"]\",1\nno key,NaN,1\n";
    for (name, content) in [("posts.jsonl", POSTS), ("posts.csv", csv)] {
        let records = read(&dir, name, content).unwrap();
        let got: Vec<_> = records.iter().map(|it| (it.text.as_str(), it.image.clone())).collect();
        assert_eq!(got, expected, "{name}");
        assert_eq!(
            records.iter().map(|it| it.is_missing).collect::<Vec<_>>(),
            [false, false, false, true, false]
        );
    }
    // A directory for the images, and absolute paths.
    let records = |path: &str| {
        let dir = Dir::new();
        let posts = dir.file("posts.jsonl", format!("{{\"text\": \"a\", \"image\": {path:?}}}\n"));
        let options = ReadOptions { image_dir: Some("elsewhere".into()), ..read_options() };
        read_all(posts, &options, None).unwrap()[0].image.clone()
    };
    assert_eq!(records("a.png"), Some(ImageSource::File("elsewhere/a.png".into())));
    assert_eq!(records("/a.png"), Some(ImageSource::File("/a.png".into())));
    let stream = RecordReader::from_reader(
        &b"{\"text\": \"a\", \"image\": \"b/a.png\"}"[..],
        "posts",
        &read_options(),
        None,
    );
    assert_eq!(stream.unwrap().next().unwrap().unwrap().image, Some(ImageSource::File("b/a.png".into())));
}

#[test]
fn record_serde_round_trips_with_images() {
    for source in [ImageSource::File("a.png".into()), ImageSource::Bytes(Arc::from(&b"abc"[..]))] {
        let record = Record { image: Some(source), ..Record::new("a") };
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }
    assert!(!serde_json::to_string(&Record::new("a")).unwrap().contains("image"));
}

#[test]
fn errors_of_records_name_file_record_and_field() {
    let dir = dir();
    let check =
        |content: &str, expected: &str| assert_eq!(dir.message(read(&dir, "posts.jsonl", content)), expected);
    check(
        "{\"text\": \"a\", \"image\": \"http://x.org/a.png\", \"label\": 0}",
        "posts.jsonl: record 1, field `image`: expected the path of an image file, got the URL `http://x.org/a.png`: download \
         the images and give the paths of the files",
    );
    check(
        "{\"text\": \"a\", \"label\": 0}\n{\"text\": null, \"image\": \"\", \"label\": 0}",
        "posts.jsonl: record 2, field `text`: missing text: expected a string, got null",
    );
    // Names that no record has.
    check(
        "{\"text\": \"a\", \"img\": \"b\", \"label\": 0}\n{\"text\": \"c\", \"label\": 0}",
        "posts.jsonl: no such column `image`: the columns are `text`, `img`, `label`",
    );
    check(
        "{\"tweet\": \"a\", \"image\": \"b\", \"label\": 0}",
        "posts.jsonl: no such column `text`: the columns are `tweet`, `image`, `label`",
    );
    check("{\"label\": 0}", "posts.jsonl: no such column `text`: the columns are `label`");
    let csv = dir.message(read(&dir, "posts.csv", "text,img,label\na,b,0\n"));
    assert_eq!(csv, "posts.csv: no such column `image`: the columns are `text`, `img`, `label`");
    let mut options = read_options();
    options.columns.is_image_optional = true;
    let records = read_all(dir.file("optional.csv", "text,label\na,0\n"), &options, None).unwrap();
    assert_eq!(records[0].image, None);
    let records = read_all(dir.file("optional.jsonl", "{\"text\": \"a\"}\n"), &options, None).unwrap();
    assert_eq!(records[0].image, None);
}

#[test]
fn batches_have_the_images_of_their_samples() {
    let dir = dir();
    let data = posts(&dir);
    let error = data.batch(&[0]).unwrap().images().err().unwrap().to_string();
    assert!(error.contains("`FieldDataset::load_images`"), "{error}");
    let data = data.load_images(&small()).unwrap();
    assert_eq!((data.n_images(), data.n_missing_images(), data.has_images()), (3, 2, true));
    let (pixels, present) = values(&data, &[0, 1, 2, 3, 4]);
    assert_eq!(present, [true, false, true, true, false]);
    let image = |index: usize| &pixels[index * 192..(index + 1) * 192];
    assert!(image(1).iter().chain(image(4)).all(|&value| value == 0));
    assert!(image(0) == image(2) && image(0) != image(3) && image(0).iter().any(|&value| value > 0));
    let expected = faknow_data::image::decode(&golden("gray.jpg"), &small()).unwrap();
    assert_eq!(image(3), expected.values());
    assert_eq!(expected.to_tensor().unwrap().size(), [3, 8, 8]);
    // Subsets share the column.
    let subset = data.subset(&[3, 1]).unwrap();
    assert_eq!((subset.n_images(), subset.n_missing_images()), (1, 1));
    assert_eq!(values(&subset, &[0]).0, image(3));
    assert_eq!((subset.image_key(0), subset.image_key(1)), (data.image_key(3), None));
    // Files with the same content are one image.
    assert_eq!(data.image_key(0), data.image_key(2));
    assert_ne!(data.image_key(0), data.image_key(3));
    let error = data.save(dir.0.path().join("saved")).unwrap_err().to_string();
    assert_eq!(error, "datasets with images cannot be saved");
    assert!(posts(&dir).save(dir.0.path().join("saved")).is_err());
}

#[test]
fn datasets_without_any_image_have_missing_ones() {
    let data = build([Ok(Record::new("a b")), Ok(Record::new("c"))]).unwrap().load_images(&small()).unwrap();
    assert_eq!((data.n_images(), data.n_missing_images()), (0, 2));
    assert_eq!(values(&data, &[0, 1]), (vec![0; 384], vec![false; 2]));
}

#[test]
fn images_are_added_to_any_dataset() {
    let bytes = |name: &str| Some(ImageSource::Bytes(golden(name).into()));
    let data = || build([Ok(Record::new("a b")), Ok(Record::new("c"))]).unwrap();
    let origin = Path::new("requests.json");
    let with = data().with_images(vec![None, bytes("rgb.png")], &small(), origin).unwrap();
    assert_eq!(values(&with, &[0, 1]).1, [false, true]);
    let error = |result: Result<FieldDataset>| result.err().unwrap().to_string();
    assert_eq!(
        error(data().with_images(vec![None], &small(), origin)),
        "images: expected 2, one per sample, got 1"
    );
    assert_eq!(
        error(data().subset(&[0]).unwrap().with_images(vec![None], &small(), origin)),
        "images: expected a complete dataset, got a subset: add images before taking subsets"
    );
    let broken = Some(ImageSource::Bytes(golden("rgb.png")[..50].into()));
    assert!(error(data().with_images(vec![None, broken], &small(), origin)).starts_with(
        "requests.json: record 2, field `image`: image of 50 bytes: expected a complete PNG image, got a truncated"
    ));
    let zero = ImageOptions { size: 0, ..small() };
    let expected = "image.size: expected a number of pixels from 1 to 8192, got 0";
    assert_eq!(error(data().load_images(&zero)), expected);
}

/// Writes posts of which some images cannot be used.
fn broken_posts(dir: &Dir) -> Vec<Record> {
    dir.file("photos/page.jpg", "<!DOCTYPE html><title>Log in</title>");
    dir.file("photos/empty.jpg", "");
    dir.file("photos/half.png", &golden("rgb.png")[..600]);
    dir.file("photos/x.avif", b"\0\0\0\x1cftypavif\0\0");
    let names = ["a.png", "page.jpg", "none.jpg", "empty.jpg", "half.png", "x.avif", "page.jpg"];
    let lines = names.iter().enumerate().map(|(index, name)| {
        format!("{{\"text\": \"post {index}\", \"label\": {}, \"image\": \"photos/{name}\"}}\n", index % 2)
    });
    read(dir, "broken.jsonl", &lines.collect::<String>()).unwrap()
}

#[test]
fn problems_of_images_are_errors_or_missing_images() {
    let dir = dir();
    let data = || build(broken_posts(&dir).into_iter().map(Ok)).unwrap();
    let message = dir.message(data().load_images(&small()));
    assert_eq!(
        message,
        "broken.jsonl: record 2, field `image`: photos/page.jpg: expected an image, got an HTML page (6 images of records in \
         all); replace or remove it, or set `image.on_problem = \"missing\"` to read such posts without an image"
    );
    let data = data().load_images(&accepting()).unwrap();
    assert_eq!((data.n_images(), data.n_missing_images()), (1, 6));
    let problems = data.image_problems().unwrap();
    assert_eq!((problems.n_problems(), problems.first().len()), (6, 6));
    let shown: Vec<String> = problems.first().iter().map(ToString::to_string).collect();
    let shown = shown.join("\n").replace(&format!("{}/", dir.0.path().display()), "");
    expect![[r#"
        broken.jsonl: record 2, field `image`: photos/page.jpg: expected an image, got an HTML page
        broken.jsonl: record 3, field `image`: photos/none.jpg: expected an image file, got none: no such file
        broken.jsonl: record 4, field `image`: photos/empty.jpg: expected an image, got an empty file
        broken.jsonl: record 5, field `image`: photos/half.png: expected a complete PNG image, got a truncated or corrupted one: unexpected end of file
        broken.jsonl: record 6, field `image`: photos/x.avif: expected JPEG, PNG, WebP or GIF, got AVIF: convert it
        broken.jsonl: record 7, field `image`: photos/page.jpg: expected an image, got an HTML page"#]]
    .assert_eq(&shown);
    assert!(problems.to_string().starts_with("6 images cannot be used and count as missing; first: "));
}

#[test]
fn memory_limit_cache_and_threads_do_not_change_pixels() {
    let dir = Dir::new();
    write_multimodal(dir.0.path(), &SynthOptions { n_samples: 60, ..SynthOptions::default() }).unwrap();
    let records = read_all(dir.0.path().join("train.jsonl"), &read_options(), None).unwrap();
    let data = build(records.into_iter().map(Ok)).unwrap();
    let indices: Vec<usize> = (0..data.n_samples()).rev().collect();
    let expected = values(&data.clone().load_images(&small()).unwrap(), &indices);
    let cache = Some(dir.0.path().join("cache"));
    let n_cached = || fs::read_dir(dir.0.path().join("cache")).unwrap().count();
    for memory in [0, 1_000, 1 << 30] {
        for cache in [None, cache.clone(), cache.clone()] {
            let options = ImageOptions { memory, cache, ..small() };
            let loaded = data.clone().load_images(&options).unwrap();
            assert_eq!(values(&loaded, &indices), expected, "{memory} bytes");
        }
    }
    let n_files = n_cached();
    assert_eq!(n_files, data.clone().load_images(&small()).unwrap().n_images());
    // Corrupted files are replaced, files of other options are others.
    for entry in fs::read_dir(dir.0.path().join("cache")).unwrap() {
        fs::write(entry.unwrap().path(), "corrupted").unwrap();
    }
    let options = ImageOptions { memory: 0, cache: cache.clone(), ..small() };
    assert_eq!(values(&data.clone().load_images(&options).unwrap(), &indices), expected);
    let stretched = ImageOptions { resize: Resize::Stretch, ..options.clone() };
    assert_ne!(values(&data.clone().load_images(&stretched).unwrap(), &indices), expected);
    assert_eq!(n_cached(), 2 * n_files);
    let bounded = ImageOptions { cache_bytes: 3_000, ..options };
    assert_eq!(values(&data.clone().load_images(&bounded).unwrap(), &indices), expected);
    assert!(n_cached() * 208 <= 3_000);

    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let in_one_thread = one_thread.install(|| data.clone().load_images(&small()).unwrap());
    assert_eq!(values(&in_one_thread, &indices), expected);
    assert_eq!(in_one_thread.fingerprint(), data.clone().load_images(&small()).unwrap().fingerprint());
    // Batches that a loader assembles in threads.
    let loaded = Arc::new(data.load_images(&ImageOptions { memory: 0, ..small() }).unwrap());
    let batches = |threads: usize| -> Vec<u8> {
        let loader =
            DataLoader::builder(loaded.clone()).batch_size(7).prefetch(threads, 2 * threads).build().unwrap();
        let batches = loader.batches(0, 0);
        batches
            .flat_map(|batch| {
                Vec::<u8>::try_from(batch.unwrap().images.unwrap().pixels.flatten(0, -1)).unwrap()
            })
            .collect()
    };
    assert!(batches(1) == batches(3));
}

#[test]
fn files_that_change_are_errors() {
    let dir = dir();
    let data = posts(&dir).load_images(&ImageOptions { memory: 0, ..small() }).unwrap();
    dir.file("photos/c.jpg", golden("rgb.jpg"));
    let message = dir.message(data.batch(&[3]));
    let expected = "photos/c.jpg: expected the image as it was when the dataset was created, got another one";
    assert_eq!(message, expected);
    fs::remove_file(dir.0.path().join("photos/c.jpg")).unwrap();
    assert_eq!(dir.message(data.batch(&[3])), "photos/c.jpg: expected an image file, got none: no such file");
}

#[test]
fn fingerprint_covers_images_and_options() {
    let dir = dir();
    let load = |options: &ImageOptions| posts(&dir).load_images(options).unwrap();
    let data = load(&small());
    assert_eq!(data.fingerprint(), load(&ImageOptions { memory: 0, ..accepting() }).fingerprint());
    assert_eq!(data.fingerprint(), data.clone().load_images(&small()).unwrap().fingerprint());
    let hash =
        |data: &FieldDataset, index| data.input_hash(index, |_| faknow_data::TokenKind::Known).unwrap();
    assert_eq!(hash(&data, 2), hash(&load(&ImageOptions { size: 9, ..small() }), 2));
    assert!(hash(&data, 2).is_some() && hash(&data, 2) != hash(&data, 3));
    let mut fingerprints = HashSet::from([posts(&dir).fingerprint(), data.fingerprint()]);
    fingerprints.insert(load(&ImageOptions { size: 9, ..small() }).fingerprint());
    fingerprints.insert(load(&ImageOptions { resize: Resize::Stretch, ..small() }).fingerprint());
    dir.file("photos/c.jpg", golden("rgb.jpg"));
    fingerprints.insert(load(&small()).fingerprint());
    assert_eq!(fingerprints.len(), 5);
}

#[test]
fn encoded_images_replace_pixels() {
    let dir = dir();
    let data = posts(&dir).load_images(&small()).unwrap();
    let mut store = EncodedStore::open(dir.0.path().join("vectors"), 2).unwrap();
    let error = data.clone().with_encoded_images(&store).unwrap_err().to_string();
    assert_eq!(error, "encoded images: expected all images, some are missing");
    let new = data.not_encoded_images(&store).unwrap();
    assert_eq!(new.n_samples(), 2, "one sample per distinct image");
    let mut writer = store.writer().unwrap();
    for index in 0..new.n_samples() {
        let vectors = Tensor::from_slice2(&[[index as f32 + 1.0, 5.0], [6.0, 7.0], [8.0, 9.0]]);
        writer.push(&new.image_key(index).unwrap(), &vectors).unwrap();
    }
    store.add(writer).unwrap();
    assert_eq!(data.not_encoded_images(&store).unwrap().n_samples(), 0);
    let encoded = data.clone().with_encoded_images(&store).unwrap();
    assert_eq!(encoded.fingerprint(), data.fingerprint());
    let batch = encoded.batch(&[3, 1, 0, 2]).unwrap();
    assert!(batch.images.is_none());
    let images = batch.encoded_images.unwrap();
    assert_eq!(images.vectors.size(), [4, 3, 2]);
    assert_eq!(Vec::<i64>::try_from(&images.lengths).unwrap(), [3, 0, 3, 3]);
    let first: Vec<f32> = images.vectors.select(1, 0).select(1, 0).try_into().unwrap();
    assert_eq!(first, [2.0, 0.0, 1.0, 1.0]);
    // All images of a batch are missing.
    assert_eq!(encoded.batch(&[1, 4]).unwrap().encoded_images.unwrap().vectors.size(), [2, 3, 2]);
    let texts = build([Ok(Record::new("a"))]).unwrap();
    let expected = "encoded images: expected a dataset with images";
    assert_eq!(texts.clone().with_encoded_images(&store).unwrap_err().to_string(), expected);
    assert_eq!(texts.not_encoded_images(&store).unwrap_err().to_string(), expected);
}

#[test]
fn inspection_counts_images_and_their_problems() {
    let dir = dir();
    broken_posts(&dir);
    let content = fs::read_to_string(dir.0.path().join("broken.jsonl")).unwrap()
        + "{\"image\": \"photos/c.jpg\", \"label\": 1}\n{\"image\": \"http://x.org/a.png\", \"label\": 0, \"text\": \"b c\"}\n"
        + "{\"label\": 1, \"image\": null}\n";
    let inspection = inspect(dir.file("posts.jsonl", content), &read_options(), None).unwrap();
    let report = inspection.to_string().replace(&format!("{}/", dir.0.path().display()), "");
    let images: Vec<&str> = report.lines().filter(|line| line.contains("image")).collect();
    expect![[r#"
        columns     `text`, `label`, `image`
        images      2 present, 1 missing, 7 broken; 7 files
        posts       1 with text and image, 7 with text only, 1 with image only, 1 with neither
          error: 1 × missing text; first: this record has `label`, `image` (record 10)
          error: 1 × images that cannot be read; first: photos/none.jpg: expected an image file, got none: no such file (record 3)
              help: give paths relative to the file or to --image-dir, or set image.on_problem=missing to read these posts without an image
          error: 4 × files that are not images; first: photos/page.jpg: expected an image, got an HTML page (records 2, 4, 7, 9)
              help: download the images again, or set image.on_problem=missing
          error: 1 × images in other formats; first: photos/x.avif: expected JPEG, PNG, WebP or GIF, got AVIF: convert it (record 6)
              help: convert them to JPEG or PNG, or set image.on_problem=missing
          error: 1 × broken images; first: photos/half.png: expected a complete PNG image, got a truncated or corrupted one: unexpected end of file (record 5)
              help: download the images again, or set image.on_problem=missing"#]].assert_eq(&images.join("\n"));
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["images"]["n_both"], 1);
}

#[test]
fn columns_of_image_files_are_recognized() {
    let dir = Dir::new();
    let check = |content: &str, expected: Option<&str>| {
        let found = recognize(dir.file("posts.csv", content), &KnownLayout::default()).unwrap();
        assert_eq!(found.image.map(|it| it.value).as_deref(), expected, "{content}");
        assert_eq!(found.text.name(), Some("text"));
    };
    check(
        "text,label,image\nAliens endorse the mayor,fake,a/b.JPG\nRain is expected soon,real,\n",
        Some("image"),
    );
    check(
        "text,label,shot\nAliens endorse the mayor,fake,a.png\nRain is expected soon,real,b.png\n",
        Some("shot"),
    );
    check(
        "text,label,image\nAliens endorse the mayor,fake,https://x.org/a.jpg\nRain is expected soon,real,\n",
        None,
    );
    check("text,label,image\nAliens endorse the mayor,fake,a\nRain is expected soon,real,b\n", None);
    let json = "{\"text\": \"Aliens endorse the mayor\", \"img\": [\"a.jpg\", \"b.jpg\"]}\n{\"text\": \"Rain is expected soon\", \"img\": []}\n";
    let found = recognize(dir.file("posts.jsonl", json), &KnownLayout::default()).unwrap();
    assert_eq!(found.image.map(|it| it.value).as_deref(), Some("img"));
}

#[test]
fn images_of_synthetic_posts_depend_on_the_class() {
    let dir = Dir::new();
    let options = SynthOptions { n_samples: 200, seed: 3, ..SynthOptions::default() };
    let paths = write_multimodal(dir.0.path(), &options).unwrap();
    let mut read_options = read_options();
    read_options.columns.domain = Some("event".into());
    let classes = Classes::new(["real", "fake"]).unwrap();
    let records = read_all(&paths[0], &read_options, Some(&classes)).unwrap();
    let n_without_text = records.iter().filter(|record| record.text.is_empty()).count();
    let data = FieldDataset::from_records(
        records.into_iter().map(Ok),
        &Tokenizer::new(TokenizerConfig::default()).unwrap(),
        &crate::support::vocab("a"),
        &["health-1".to_owned()],
    );
    let data = data.unwrap().load_images(&small()).unwrap();
    assert_eq!(data.n_samples(), 140);
    assert!((8..20).contains(&n_without_text), "{n_without_text}");
    assert!((8..20).contains(&data.n_missing_images()), "{}", data.n_missing_images());
    let batch = data.batch(&(0..140).collect::<Vec<_>>()).unwrap();
    let means = batch.images.unwrap().pixels.to_kind(Kind::Float).mean_dim([2i64, 3].as_slice(), false, None);
    let is_red = means.select(1, 0).gt_tensor(&means.select(1, 2)).to_kind(Kind::Int64);
    let share = is_red.eq_tensor(&batch.labels.unwrap()).to_kind(Kind::Float).mean(None).double_value(&[]);
    assert!((0.75..0.9).contains(&share), "{share}");
}
