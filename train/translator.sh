#!/usr/bin/env bash
# Makes the translator that Puna ships, from the data sets to the files in src/puna/translators.
#
#     PUNA_DATA=../shared/data train/translator.sh WORK [OPTIONS of puna train translate...]
#
# WORK takes the rows, the log and the checkpoints. What was stopped goes on when it is run again; what is done is not done
# again. Rank 18 in bf16 makes a file of 11 MB.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PUNA_DATA:?the folder of the data sets}"
work=$1
rows=$work/rows
shipped=src/puna/translators/SmolLM2-135M-Instruct
mkdir -p "$work"

if [ ! -d "$rows" ]; then
    rm -rf "$rows.part"
    python train/prepare_translation.py "$rows.part"
    mv "$rows.part" "$rows"
fi
[ -d "$work/translator" ] || puna train translate "$rows/train.jsonl" -o "$work/translator" --valid "$rows/valid.jsonl" \
    --lora-rank 18 --epochs 2 --rate 1e-3 "${@:2}"
mkdir -p "$shipped"
cp "$work/translator"/{adapter_config.json,adapter_model.safetensors,puna.json} "$shipped"
for direction in en-zh zh-en; do
    [ -s "$work/test-$direction.json" ] || {
        puna eval translate "$rows/test-$direction.jsonl" --limit 300 --adapter "$work/translator" --json \
            > "$work/test-$direction.part"
        mv "$work/test-$direction.part" "$work/test-$direction.json"
    }
    cat "$work/test-$direction.json"
done
