#!/usr/bin/env bash
# Makes the sentiment adapter that Puna ships, from the data sets to the files in src/puna/sentiments.
#
#     PUNA_DATA=../shared/data train/sentiment.sh WORK [OPTIONS of puna train classify...]
#
# WORK takes the rows, the log and the checkpoints. What was stopped goes on when it is run again; what is done is not done
# again. Rank 4 in bf16 makes a file of 2.5 MB.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PUNA_DATA:?the folder of the data sets}"
work=$1
rows=$work/rows
shipped=src/puna/sentiments/SmolLM2-135M-Instruct
mkdir -p "$work"

if [ ! -d "$rows" ]; then
    rm -rf "$rows.part"
    python train/prepare_sentiment.py "$rows.part"
    mv "$rows.part" "$rows"
fi
[ -d "$work/sentiment" ] || puna train classify "$rows"/train-*.jsonl -o "$work/sentiment" --sentiment \
    --lora-rank 4 --epochs 0.5 --rate 1e-3 "${@:2}"
mkdir -p "$shipped"
cp "$work/sentiment"/{adapter_config.json,adapter_model.safetensors,puna.json} "$shipped"
for set in sst2 chnsenticorp; do
    for adapter in none "$work/sentiment"; do
        result=$work/$set-$(basename "$adapter").json
        [ -s "$result" ] || {
            puna eval classify "$rows/dev-$set.jsonl" --sentiment --limit 400 --adapter "$adapter" --json > "$result.part"
            mv "$result.part" "$result"
        }
        cat "$result"
    done
done
