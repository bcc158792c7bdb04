#!/usr/bin/env bash
# Makes the reader that Puna ships, from the data sets to the files in src/puna/readers.
#
#     PUNA_DATA=../shared/data train/reader.sh WORK
#
# WORK takes the rows, the logs and the checkpoints. What was stopped goes on when it is run again: a training from its
# checkpoint, a search from its last row; what is done is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$1
data=${PUNA_DATA:?the folder of the data sets}
rows=$work/rows
mkdir -p "$work"

if [ ! -d "$rows" ]; then
    python train/prepare.py "$rows.part"
    puna make-rows "$data/text_lm/wikitext2_valid.txt.gz" "$data"/docs_nursing_en/*.jsonl.gz \
        "$data"/docs_handbook_en/docs.jsonl.gz "$rows.part/squad.jsonl" --limit 16000 -o "$rows.part/self-en.jsonl"
    puna make-rows "$rows.part/cmrc.jsonl" "$rows.part/drcd.jsonl" --limit 11000 -o "$rows.part/self-zh.jsonl"
    mv "$rows.part" "$rows"
fi
learn() { # NAME OPTIONS...: train unless it is there
    [ -d "$work/$1" ] || puna train reader -o "$work/$1" --valid "$rows/valid.jsonl" "${@:2}"
}
