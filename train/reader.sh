#!/usr/bin/env bash
# Makes the reader that Puna ships, from the data sets to the files in src/puna/readers.
#
#     PUNA_DATA=../shared/data train/reader.sh WORK
#
# WORK takes the rows, the logs and the checkpoints. What was stopped goes on when it is run again: a training from its
# checkpoint, a search from its last row; what is done is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PUNA_DATA:?the folder of the data sets}"
work=$1
rows=$work/rows
shipped=src/puna/readers/SmolLM2-135M-Instruct
mkdir -p "$work"

if [ ! -d "$rows" ]; then
    python train/prepare.py "$rows.part"
    puna make-rows "$rows.part/squad.jsonl" --per-passage 2 -o "$rows.part/made.jsonl" # self-supervised
    mv "$rows.part" "$rows"
fi
learn() { # NAME OPTIONS...: train unless it is there
    [ -d "$work/$1" ] || puna train reader -o "$work/$1" --valid "$rows/valid.jsonl" "${@:2}"
}
every() { # NAMES...: their files
    printf "$rows/%s.jsonl\n" "$@"
}
# English first, where a text is a third as long in tokens; then both languages; at last with rows that nobody labelled:
# self-supervised ones, and questions altered so that their text does not answer them.
learn english $(every squad squad-none) --epochs 1
learn both $(every squad squad-none cmrc dureader chinese-none) --init "$work/english" --epochs 0.5 --rate 4e-4
learn all $(every squad squad-none squad-none cmrc drcd dureader chinese-none) \
    --init "$work/both" --epochs 0.8 --rate 4e-4 --seed 1
learn reader $(every squad squad-none squad-altered made cmrc drcd dureader chinese-none chinese-altered) \
    --init "$work/all" --epochs 0.35 --rate 2.5e-4 --seed 2

python train/weigh.py "$work/reader" "$rows/valid.jsonl" "$work/weights" 0 0.15 0.3 0.5
puna calibrate "$rows/calibrate.jsonl" --adapter "$work/reader" -o "$work/reader/calibration.json"
mkdir -p "$shipped"
cp "$work/reader"/{adapter_config.json,adapter_model.safetensors,puna.json,calibration.json} "$shipped" # not the picture
