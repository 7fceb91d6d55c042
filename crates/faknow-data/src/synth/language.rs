//! The templates and words of the synthetic corpus: sentences and nouns of each domain, phrases of style, invented names.
//!
//! In templates, `{open}`, `{adverb}` and `{close}` are slots for phrases of style, all other braces slots for words that do not
//! depend on the class.

use crate::Rng;

/// The templates and words of a domain.
pub(super) struct Domain {
    pub(super) name: &'static str,
    /// Share of posts in the fake style.
    pub(super) share_fake: f64,
    pub(super) sentences: &'static [&'static str],
    pub(super) nouns: &'static [&'static str],
}

/// Phrases for a slot, by the style that prefers them.
pub(super) struct Phrases {
    pub(super) real: &'static [&'static str],
    pub(super) fake: &'static [&'static str],
    pub(super) neutral: &'static [&'static str],
    /// Phrases that one style prefers in some domains and the other style in the others.
    pub(super) by_domain: &'static [&'static str],
}

#[rustfmt::skip]
pub(super) const DOMAINS: [Domain; 6] = [
    Domain {
        name: "politics",
        share_fake: 0.55,
        sentences: &[
            "{open} the mayor of {place} {adverb} rejected the {noun} after {number} hours of debate {close}",
            "{open} {person} {adverb} left the {noun} committee of the {organization} party {close}",
            "{open} the parliament in {place} {adverb} passed the {adjective} {noun} by {number} votes {close}",
            "{open} the {noun} of minister {person} was {adverb} changed before the vote in {place} {close}",
            "{open} the {organization} party {adverb} asked for a new {noun} in {number} districts {close}",
            "{open} voters in {place} {adverb} received the {adjective} {noun} signed by {person} {close}",
            "{open} deputies of the {organization} party {adverb} questioned the {noun} and the {noun} {close}",
            "{open} governor {person} {adverb} promised {place} an {adjective} {noun} within {number} days {close}",
        ],
        nouns: &[
            "ballot", "budget", "treaty", "reform", "petition", "amendment", "coalition", "mandate",
            "subsidy", "pension", "border", "tariff", "charter", "campaign", "veto", "speech", "inquiry",
            "decree", "census", "law",
        ],
    },
    Domain {
        name: "health",
        share_fake: 0.6,
        sentences: &[
            "{open} doctors in {place} {adverb} tested the {adjective} {noun} on {number} patients {close}",
            "{open} the {organization} clinic {adverb} stopped using the {noun} for {number} weeks {close}",
            "{open} a cup of {noun} each morning {adverb} changed the {noun} of {person} {close}",
            "{open} nurse {person} {adverb} described the {adjective} {noun} in the wards of {place} {close}",
            "{open} pharmacies in {place} {adverb} sold {number} boxes of the {organization} {noun} {close}",
            "{open} the hospital of {place} {adverb} compared the {noun} with an {adjective} {noun} {close}",
            "{open} {number} schools near {place} {adverb} replaced the {noun} after advice from {person} {close}",
            "{open} the {organization} laboratory {adverb} measured the {adjective} {noun} in {number} samples {close}",
        ],
        nouns: &[
            "remedy", "fever", "syrup", "diet", "tablet", "allergy", "vitamin", "infection", "therapy",
            "ginger", "immunity", "ointment", "screening", "insulin", "symptom", "bandage", "headache",
            "garlic", "scanner", "dose",
        ],
    },
    Domain {
        name: "disaster",
        share_fake: 0.4,
        sentences: &[
            "{open} the {noun} near {place} {adverb} reached {number} houses before midnight {close}",
            "{open} crews from {place} {adverb} moved {number} families away from the {adjective} {noun} {close}",
            "{open} the {organization} bridge was {adverb} closed because of the {noun} in {place} {close}",
            "{open} rescue leader {person} {adverb} searched the {adjective} {noun} for {number} hours {close}",
            "{open} roads around {place} {adverb} disappeared under the {noun} and the {noun} {close}",
            "{open} the {noun} alarm in {place} {adverb} failed for {number} minutes {close}",
            "{open} volunteers of {organization} {adverb} carried water to the {noun} shelter in {place} {close}",
            "{open} the harbour of {place} {adverb} lost {number} boats in the {adjective} {noun} {close}",
        ],
        nouns: &[
            "flood", "wildfire", "storm", "landslide", "quake", "avalanche", "drought", "eruption",
            "tornado", "hail", "dam", "wave", "smoke", "ash", "blackout", "collapse", "evacuation",
            "crater", "gale", "mudflow",
        ],
    },
    Domain {
        name: "finance",
        share_fake: 0.45,
        sentences: &[
            "{open} shares of {organization} {adverb} lost {number} percent after the {noun} {close}",
            "{open} the bank of {place} {adverb} raised its {adjective} {noun} by {number} points {close}",
            "{open} manager {person} {adverb} sold the {noun} of {organization} to an {adjective} fund {close}",
            "{open} {number} investors in {place} {adverb} put their {noun} into a new {noun} {close}",
            "{open} the {organization} group {adverb} moved its {noun} from {place} to {place} {close}",
            "{open} prices for {noun} in {place} {adverb} doubled within {number} months {close}",
            "{open} {person} {adverb} bought {number} thousand units of the {organization} {noun} {close}",
            "{open} auditors {adverb} found an {adjective} {noun} in the books of {organization} {close}",
        ],
        nouns: &[
            "bond", "dividend", "loan", "mortgage", "invoice", "token", "merger", "deposit", "inflation",
            "currency", "copper", "wheat", "insurance", "credit", "portfolio", "salary", "rent", "voucher",
            "reserve", "ledger",
        ],
    },
    Domain {
        name: "science",
        share_fake: 0.35,
        sentences: &[
            "{open} researchers at {place} {adverb} observed the {adjective} {noun} for {number} nights {close}",
            "{open} the {organization} telescope {adverb} recorded a {noun} behind the {noun} {close}",
            "{open} professor {person} {adverb} repeated the {noun} experiment {number} times {close}",
            "{open} a team from {place} {adverb} printed an {adjective} {noun} smaller than a grain {close}",
            "{open} the {organization} probe {adverb} sent {number} images of the {noun} to {place} {close}",
            "{open} {person} {adverb} found the {noun} of an {adjective} animal below {place} {close}",
            "{open} the {noun} in the laboratory of {place} {adverb} answered {number} questions {close}",
            "{open} engineers of {organization} {adverb} cooled the {adjective} {noun} to {number} degrees {close}",
        ],
        nouns: &[
            "fossil", "comet", "enzyme", "laser", "glacier", "neuron", "crystal", "satellite", "bacterium",
            "magnet", "isotope", "robot", "algae", "asteroid", "protein", "sensor", "reactor", "whale",
            "pollen", "battery",
        ],
    },
    Domain {
        name: "entertainment",
        share_fake: 0.65,
        sentences: &[
            "{open} singer {person} {adverb} canceled {number} concerts in {place} over a {noun} {close}",
            "{open} the {organization} studio {adverb} paid {number} actors for the {adjective} {noun} {close}",
            "{open} fans in {place} {adverb} waited {number} hours for the {noun} of {person} {close}",
            "{open} actress {person} {adverb} married the writer of the {adjective} {noun} in {place} {close}",
            "{open} the {noun} of the {organization} band was {adverb} recorded in {place} {close}",
            "{open} director {person} {adverb} cut {number} scenes from the {adjective} {noun} {close}",
            "{open} the jury of the {place} festival {adverb} gave its {noun} to {person} {close}",
            "{open} the {organization} channel {adverb} replaced the {noun} with an {adjective} {noun} {close}",
        ],
        nouns: &[
            "album", "premiere", "sequel", "trailer", "contract", "costume", "divorce", "award", "wedding",
            "lyrics", "script", "parody", "duet", "comedy", "portrait", "rumour", "novel", "dance",
            "ticket", "interview",
        ],
    },
];

/// Phrases for `{open}`, `{adverb}` and `{close}`.
#[rustfmt::skip]
pub(super) const SLOTS: [(&str, Phrases); 3] = [
    (
        "open",
        Phrases {
            real: &[
                "according to a statement,", "the agency said that", "in a report of {day},",
                "officials said that", "a spokesperson confirmed that", "as the yearly survey shows,",
                "figures of {day} show that", "after a review of the records,",
                "the council announced that", "minutes of the meeting state that",
                "our correspondent reports that", "as scheduled,", "preliminary data suggest that",
                "two witnesses independently said that",
            ],
            fake: &[
                "they hide from you that", "wake up people:", "unbelievable:",
                "what the media will never tell you:", "my cousin works there and says that",
                "share before it is deleted:", "the shocking truth:", "nobody talks about this:",
                "insiders whisper that", "finally exposed:", "warning to everyone:",
                "forwarded many times:", "a secret paper proves that", "i was told that",
            ],
            neutral: &[
                "", "", "on {day}", "this week", "today", "last month", "meanwhile", "once more", "by now",
            ],
            by_domain: &[
                "breaking:", "exclusive:", "sources say that", "urgent:", "live:", "we learned that",
            ],
        },
    ),
    (
        "adverb",
        Phrases {
            real: &[
                "formally", "partly", "provisionally", "jointly", "gradually", "unanimously",
                "temporarily", "largely", "tentatively", "initially", "routinely", "voluntarily",
            ],
            fake: &[
                "secretly", "suddenly", "totally", "shamelessly", "mysteriously", "illegally", "instantly",
                "obviously", "miraculously", "forcibly", "deliberately", "quietly",
            ],
            neutral: &["", "", "", "also", "then", "already", "again", "later"],
            by_domain: &["officially", "allegedly", "completely", "apparently"],
        },
    ),
    (
        "close",
        Phrases {
            real: &[
                "the statement added", "an independent audit is planned",
                "further details are expected on {day}", "a final decision is pending",
                "the figures are still preliminary", "both sides declined to comment",
                "the document is available online", "experts called the evidence limited",
                "a correction was issued later", "the margin of error is small",
                "the next review is due on {day}", "the ministry did not respond",
            ],
            fake: &[
                "and nobody reports it!", "share this now!!!", "open your eyes!", "the truth is out!",
                "do your own research!", "they think we are stupid!", "spread the word!",
                "this changes everything!", "and the media stays silent!", "believe it or not!",
                "before it is too late!", "you will not believe why!",
            ],
            neutral: &["", "", "", "near {place}", "as before", "this time", "for now", "people said"],
            by_domain: &[
                "an anonymous expert says so", "a video shows it", "see the photos inside",
                "{person} was there",
            ],
        },
    ),
];

#[rustfmt::skip]
const ADJECTIVES: &[&str] = &[
    "old", "unusual", "early", "expensive", "empty", "outdated", "ordinary", "unfinished", "open",
    "important", "official", "urban", "annual", "empirical", "odd", "elegant", "elderly", "uneven",
    "orange", "icy",
];
const DAYS: &[&str] = &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const ORGANIZATION_KINDS: &[&str] = &["", "", "", "trust", "works", "union", "network"];

/// First syllables of invented names.
#[rustfmt::skip]
const HEADS: &[&str] = &[
    "bral", "cor", "dren", "el", "fal", "gris", "hul", "ith", "jor", "kel", "lum", "mor", "nev", "ost",
    "pral", "quen", "rus", "sel", "tor", "ulv", "var", "wex", "yal", "zim",
];
/// Middle syllables of invented names.
const MIDDLES: &[&str] =
    &["a", "e", "i", "o", "u", "an", "er", "il", "on", "ur", "av", "em", "is", "ol", "ut", "ax"];
/// Last syllables of invented names.
const TAILS: &[&str] =
    &["dell", "mont", "vik", "sby", "ra", "nor", "tham", "zek", "lune", "gard", "pell", "wick"];

/// Number of distinct names of each kind; few of them are frequent and most are rare, as in real posts.
const N_NAMES: usize = 2_000;

/// Returns a word for a slot that does not depend on the class; `None` for other slots.
pub(super) fn neutral_word(slot: &str, domain: &Domain, rng: &mut Rng) -> Option<String> {
    let choose =
        |list: &[&str], rng: &mut Rng| rng.choose(list).map_or_else(String::new, |word| (*word).to_owned());
    Some(match slot {
        "noun" => choose(domain.nouns, rng),
        "adjective" => choose(ADJECTIVES, rng),
        "day" => choose(DAYS, rng),
        "number" => (2 + rng.below(98)).to_string(),
        "place" => name(1, rng),
        "person" => format!("{} {}", name(2, rng), name(3, rng)),
        "organization" => {
            let kind = choose(ORGANIZATION_KINDS, rng);
            if kind.is_empty() { name(4, rng) } else { format!("{} {kind}", name(4, rng)) }
        }
        _ => return None,
    })
}

/// Returns an invented name; few names are frequent, and each kind has separate names.
fn name(kind: u64, rng: &mut Rng) -> String {
    let rank = (N_NAMES as f64 * rng.uniform() * rng.uniform() * rng.uniform()) as u64;
    let mut letters = Rng::from_parts(&[kind, rank]);
    let part = |list: &[&str], letters: &mut Rng| letters.choose(list).map_or("", |part| part).to_owned();
    let mut name = part(HEADS, &mut letters);
    for _ in 0..1 + letters.below(2) {
        name += &part(MIDDLES, &mut letters);
    }
    name += &part(TAILS, &mut letters);
    capitalized(&name)
}

/// Returns `text` with its first letter in uppercase, if it is an ASCII letter.
pub(super) fn capitalized(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
