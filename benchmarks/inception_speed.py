"""How long FID takes on this machine: 768-dimensional Inception features of 10,000 images of 32x32, speed and memory.

Claim: on a CPU with 2 threads 10,000 images take less than 6 minutes and the process less than 3 GB.

    python benchmarks/inception_speed.py --inception FILE [--count 10000] [--threads 2] [--device cpu]

Fewer images are extrapolated to 10,000, and said to be. Times hold for an otherwise idle machine.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

import torch

from shoestring.core.progress import Progress
from shoestring.metrics.features.extractor import extract
from shoestring.metrics.features.inception import InceptionExtractor

WHOLE = 10_000


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inception", type=Path, required=True)
    parser.add_argument("--count", type=int, default=WHOLE)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resizing", choices=("clean", "legacy"), default="clean")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    images = torch.randint(256, (given.count, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    extractor = InceptionExtractor(given.inception, 768, given.resizing, device=given.device)
    extract(extractor, images[:32], Progress())  # the first call sets up threads and kernels
    start, busy = time.perf_counter(), time.process_time()
    extract(extractor, images, Progress())
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    facts = {
        "images": given.count,
        "seconds": round(seconds, 1),
        "processor_seconds": round(busy, 1),
        "images_per_second": round(given.count / seconds, 1),
        "minutes_for_10000": round(WHOLE * seconds / given.count / 60, 2),
        "minutes_for_10000_with_the_processor_to_itself": round(WHOLE * busy / given.threads / given.count / 60, 2),
        "extrapolated": given.count != WHOLE,
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "threads": given.threads,
        "device": given.device,
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
    }
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
