//! Decoding and resizing of images, with two threads: of generated PNG files, or of the files in `$FAKNOW_IMAGES`.

use divan::Bencher;
use divan::counter::ItemsCount;
use faknow::data::image::{ImageOptions, ImageSource};
use faknow::data::synth::{SynthOptions, write_multimodal};
use faknow::prelude::*;

/// Number of threads of the benchmark and of its peer `examples/bench/images.py`.
const N_THREADS: usize = 2;

/// Returns all files below a directory.
fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let of_entry = |path: std::path::PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    let mut files: Vec<_> = entries.flat_map(of_entry).collect();
    files.sort();
    files
}

#[divan::bench(sample_count = 3)]
fn decode_and_resize(bencher: Bencher) {
    let generated = std::env::temp_dir().join(format!("faknow-micro-images-{}", std::process::id()));
    let dir = match std::env::var_os("FAKNOW_IMAGES") {
        Some(dir) => dir.into(),
        None => {
            write_multimodal(&generated, &SynthOptions { n_samples: 200, ..SynthOptions::default() })
                .unwrap();
            generated.join("images")
        }
    };
    let sources: Vec<_> = files(&dir).into_iter().map(|file| Some(ImageSource::File(file))).collect();
    let texts = sources.iter().map(|_| Ok(Record::new("a")));
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let data = FieldDataset::build(texts, &tokenizer, &VocabOptions::default()).unwrap().0;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(N_THREADS).build().unwrap();
    bencher.counter(ItemsCount::new(sources.len())).bench_local(|| {
        let (data, sources) = (data.clone(), sources.clone());
        threads.install(|| data.with_images(sources, &ImageOptions::default(), &dir)).unwrap()
    });
    let _ = std::fs::remove_dir_all(generated);
}
