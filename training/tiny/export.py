"""Write a checkpoint's weights as the file that is shipped; its vocabulary must lie beside it as `vocab.json`.

python training/tiny/export.py runs/tiny/latest.pt src/telic/lm/tiny/tiny.safetensors
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch


def export(checkpoint: Path, target: Path) -> None:
    saved = torch.load(checkpoint, weights_only=False, map_location="cpu")
    write_weights(saved["model"], saved["shape"], saved["state"]["tokens"], target)
    print(f"{target}: {target.stat().st_size} bytes, trained on {saved['state']['tokens']} tokens")


def write_weights(tensors: dict[str, torch.Tensor], shape: dict[str, Any], tokens: int, target: Path) -> None:
    header: dict[str, object] = {}
    body = b""
    for name, tensor in tensors.items():
        data = tensor.to(torch.float16).numpy().tobytes()
        header[name] = {
            "dtype": "F16",
            "shape": list(tensor.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    header["__metadata__"] = {
        "shape": json.dumps(shape),
        "sha256": hashlib.sha256(body).hexdigest(),
        "vocabulary_sha256": hashlib.sha256(target.with_name("vocab.json").read_bytes()).hexdigest(),
        "tokens": str(tokens),
    }
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    target.write_bytes(len(head).to_bytes(8, "little") + head + body)


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))
