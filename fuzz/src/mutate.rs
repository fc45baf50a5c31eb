//! Makes new inputs of known ones.

use std::time::SystemTime;

/// What means something to the loader.
const WORDS: &[&str] = &[
    "services:\n",
    "  web:\n",
    "    image: a\n",
    "    extends: web\n",
    "    extends: {file: x, service: web}\n",
    "include: [x]\n",
    "include:\n  - path: [x, y]\n    env_file: z\n",
    "networks:",
    "volumes:",
    "secrets:",
    "configs:",
    "ports: ['80:80']",
    "ports: ['1-9:1-9/udp']",
    "environment:",
    "depends_on:",
    "build: .",
    "healthcheck:",
    "deploy:",
    "ulimits:",
    "logging:",
    "ipam: {config: [{subnet: 10.0.0.0/8}]}",
    "profiles: [a]",
    "command: a 'b' \"c\"",
    "develop: {watch: [{path: ., action: sync}]}",
    "env_file: a",
    "<<: *a",
    "&a ",
    "*a",
    "!reset ",
    "!override ",
    "!!str ",
    "!!int ",
    "!x ",
    "${A}",
    "${A:-",
    "${A?",
    "$$",
    "}",
    "{",
    "[",
    "]",
    ",",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    "'",
    "\"",
    "|\n",
    ">-\n",
    "#",
    "---\n",
    "...\n",
    "? ",
    "~",
    "true",
    "null",
    "0",
    "-1",
    "1e999",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "1h5m",
    "10gb",
    "0.5",
    "::1",
    "127.0.0.1",
    "/",
    "../",
    "~/",
    "x-a:",
    "\u{feff}",
    "\u{85}",
    "é",
    "\r\n",
    "=",
    "%",
];

/// How many inputs are kept to begin with.
const KEPT: usize = 4000;

/// Known inputs and a source of chance.
pub(crate) struct Mutator {
    seeds: Vec<String>,
    state: u64,
}

impl Mutator {
    pub(crate) fn new(seeds: Vec<String>) -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_nanos() as u64);
        Self { seeds, state: now | 1 }
    }

    /// Keeps an input to begin with later on.
    pub(crate) fn keep(&mut self, input: &str) {
        let at = self.below(KEPT);
        if self.seeds.len() < KEPT {
            self.seeds.push(input.to_owned());
        } else if self.below(8) == 0 {
            self.seeds[at] = input.to_owned();
        }
    }

    /// Returns a new input of at most `length` bytes.
    pub(crate) fn next(&mut self, length: usize) -> String {
        let at = self.below(self.seeds.len());
        let mut text = self.seeds[at].clone();
        for _ in 0..=self.below(6) {
            text = self.mutated(&text);
            text.truncate(text.floor_char_boundary(length));
        }
        text
    }

    fn mutated(&mut self, text: &str) -> String {
        let (from, to) = self.range(text);
        match self.below(8) {
            // A word is put in, or takes the place of a part.
            0 | 1 => {
                let word = WORDS[self.below(WORDS.len())];
                let to = if self.below(2) == 0 { from } else { to };
                format!("{}{word}{}", &text[..from], &text[to..])
            }
            // A part goes.
            2 => format!("{}{}", &text[..from], &text[to..]),
            // A part stands again and again.
            3 => {
                let most = if self.below(50) == 0 { 500 } else { 4 };
                let times = 1 + self.below(most);
                format!("{}{}{}", &text[..to], text[from..to].repeat(times), &text[to..])
            }
            // Lines of another input are put between lines.
            4 | 5 => {
                let (other, start, length) =
                    (self.below(self.seeds.len()), self.below(40), 1 + self.below(6));
                let lines = self.seeds[other].split_inclusive('\n');
                let part: String = lines.skip(start).take(length).collect();
                let at = text[..from].rfind('\n').map_or(0, |index| index + 1);
                format!("{}{part}{}", &text[..at], &text[at..])
            }
            // A line is indented otherwise.
            6 => {
                let at = text[..from].rfind('\n').map_or(0, |index| index + 1);
                let spaces = " ".repeat(self.below(8));
                format!("{}{spaces}{}", &text[..at], text[at..].trim_start_matches(' '))
            }
            // Two parts change places.
            _ => format!("{}{}{}", &text[from..to], &text[..from], &text[to..]),
        }
    }

    /// Returns a part of the text, short more often than long.
    fn range(&mut self, text: &str) -> (usize, usize) {
        let from = text.floor_char_boundary(self.below(text.len() + 1));
        let most = if self.below(3) == 0 { text.len() - from } else { (text.len() - from).min(16) };
        (from, text.floor_char_boundary(from + self.below(most + 1)).max(from))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % limit.max(1) as u64) as usize
    }
}
