//! Prometheus's own test files, from its Go module, read and run: every case outside experimental features passes.
//!
//! The module is fetched by the `go` client into its cache; without it the test says so and passes, unless
//! `REQUIRE_REAL=1`.

#![allow(clippy::assigning_clones, clippy::single_match_else, reason = "the shorter form here")]
#![allow(clippy::float_cmp, reason = "equality is the first of two tests, or what is meant")]
#![allow(clippy::cast_possible_wrap, reason = "indexes of a few samples")]
#![allow(clippy::match_wildcard_for_single_variants, reason = "everything else is unexpected")]

#[path = "promqltest/fetch.rs"]
mod fetch;
#[path = "promqltest/load.rs"]
mod load;
#[path = "promqltest/run.rs"]
mod run;
#[path = "promqltest/script.rs"]
mod script;
#[path = "promqltest/series.rs"]
mod series;

/// Files of which every case needs a feature flag of Prometheus.
const EXPERIMENTAL_FILES: &[(&str, &str)] = &[
    ("extended_vectors.test", "promql-extended-range-selectors"),
    ("fill-modifier.test", "promql-binop-fill-modifiers"),
    ("info.test", "promql-experimental-functions"),
    ("limit.test", "promql-experimental-functions"),
    ("start_timestamps.test", "use-start-timestamps"),
    ("type_and_unit.test", "type-and-unit-labels"),
];

#[test]
fn every_case_of_prometheus_outside_experimental_features_passes() {
    let Some(folder) = fetch::testdata() else { return };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of test files")
        .map(|entry| entry.expect("a folder's entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    files.sort();
    assert!(files.len() >= 15, "only {} test files", files.len());
    let (mut failures, mut all) = (Vec::new(), run::Tally::default());
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if let Some((_, feature)) = EXPERIMENTAL_FILES.iter().find(|(file, _)| *file == name) {
            println!("{name}: excluded, all of it needs {feature}");
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a readable test file");
        let tally = run::run(&name, &text, &mut failures);
        println!("{name}: {}/{} passed, {} excluded", tally.passed, tally.run, tally.excluded);
        for (reason, count) in &tally.reasons {
            println!("    {count} excluded: {reason}");
        }
        all.passed += tally.passed;
        all.run += tally.run;
        all.excluded += tally.excluded;
    }
    println!("all: {}/{} passed, {} excluded", all.passed, all.run, all.excluded);
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
    assert!(all.run > 1000, "only {} cases were run", all.run);
}
