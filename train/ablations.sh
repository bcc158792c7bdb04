#!/usr/bin/env bash
# What rows without labels, few labels, and wrong answers do for a reader: small trainings in English, beside each other.
#
#     PUNA_DATA=../shared/data train/ablations.sh WORK > docs/measured-training.md
#
# All begin with the default model and the same seed, have the same recipe and are measured on the same rows, which are
# of articles that none has seen. What was stopped goes on when it is run again.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PUNA_DATA:?the folder of the data sets}"
work=$1
rows=$work/rows
mkdir -p "$work"

if [ ! -d "$rows" ]; then
    python train/prepare.py "$rows.part" >&2
    squad=$rows.part/squad.jsonl # the training set's sample, a text each; the development half's rows, 4 a text; unanswerable ones
    head -n 1000 "$squad" > "$rows.part/few.jsonl"
    { sed -n 4001,8000p "$squad" && tail -n 1000 "$squad"; } > "$rows.part/labelled.jsonl"
    head -n 4000 "$squad" > "$rows.part/texts.jsonl"
    puna make-rows "$rows.part/texts.jsonl" --per-passage 1 -o "$rows.part/made.jsonl" >&2
    mv "$rows.part" "$rows"
fi
learn() { # NAME ROWS... -- OPTIONS...: train on files of rows, and measure
    local name=$1 files=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        files+=("$rows/$1.jsonl")
        shift
    done
    [ -d "$work/$name" ] || puna train reader "${files[@]}" -o "$work/$name" --valid "$rows/valid.jsonl" \
        --epochs 1 "${@:2}" >&2
    ask "$name" "$work/$name"
}
ask() { # NAME ADAPTER: both sets at once, a core each
    for set in squad11 squad20; do
        [ -s "$work/$1.$set.json" ] || {
            OMP_NUM_THREADS=1 puna eval qa "$rows/valid-$set.jsonl" --limit 250 --adapter "$2" \
                --output "$work/$1.$set.jsonl" --json > "$work/$1.$set.part"
            mv "$work/$1.$set.part" "$work/$1.$set.json"
        } &
    done
    wait
}

ask plain none
learn made made
learn few few
learn made-few few -- --init "$work/made"
learn labelled labelled
learn made-labelled labelled -- --init "$work/made"
learn both labelled made
[ -s "$rows/hard.jsonl" ] || puna make-negatives "$rows/few.jsonl" --adapter "$work/labelled" -o "$rows/hard.jsonl" >&2
learn again few -- --init "$work/labelled" --rate 2e-4
learn hard hard -- --init "$work/labelled" --rate 2e-4 --among 1

python - "$work" << 'END'
import json, platform, os, sys

WORDS = {
    "plain": "no training",
    "made": "rows that `puna make-rows` made of 3,600 texts, no labels",
    "few": "1,000 labelled rows",
    "made-few": "made rows, then 1,000 labelled ones",
    "labelled": "5,000 labelled rows, 1,000 of them without an answer",
    "made-labelled": "made rows, then labelled ones",
    "both": "made and labelled rows together",
    "again": "labelled rows, then 1,000 others",
    "hard": "the same, with the wrong answers of `puna make-negatives`",
}
print("# Measured: what a reader learns from\n")
print("Written by `train/ablations.sh WORK > docs/measured-training.md`;", platform.machine() + ",", os.cpu_count(), "cores.")
print("Each row is a training of one pass (the default settings) from the default model; a second one goes on from the first.")
print("250 rows of SQuAD 1.1 and 250 of SQuAD 2.0, of articles that none has seen, exact search, the pointer's weight 0.5.\n")
print("| learned from | million tokens | EM | F1 | best of 5: F1 | telling unanswerable (AUROC) | nodes |")
print("|---|---|---|---|---|---|---|")
for name, words in WORDS.items():
    one, two = (json.load(open(f"{sys.argv[1]}/{name}.{each}.json")) for each in ("squad11", "squad20"))
    tokens = "–"
    if name != "plain":
        log = [json.loads(line) for line in open(f"{sys.argv[1]}/{name}.training/log.jsonl")]
        tokens = f"{sum(line.get('tokens', 0) for line in log) / 1e6:.2f}"
    print(f"| {words} | {tokens} | {one['em']:.1f} | {one['f1']:.1f} | {one['top5_f1']:.1f}"
          f" | {two['no_answer_auroc']:.3f} | {one['nodes_per_question']:.0f} |")
END
