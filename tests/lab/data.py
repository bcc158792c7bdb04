"""A small folder of data sets, in the form of the real ones."""

import gzip
import json
import random
from pathlib import Path

WORDS = "the llama walks over high grass land and sleeps then it eats 山 水".split()


def write_data(folder: Path, seed: int = 0) -> Path:
    draw = random.Random(seed)
    (folder / "text_lm").mkdir(parents=True)
    (folder / "tatoeba_en_zh").mkdir()
    text = " ".join(draw.choice(WORDS) for _ in range(2500))
    (folder / "text_lm" / "tinyshakespeare.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name, count in (("train", 60), ("dev", 12)):
        rows = [
            {"src": draw.choice(WORDS), "tgt": draw.choice("山水火木") + "。", "src_lang": "en", "tgt_lang": "zh"}
            for _ in range(count)
        ]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "tatoeba_en_zh" / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return folder
