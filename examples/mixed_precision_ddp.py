"""Gradient alignment in bfloat16 on several processes, by PyTorch's own autocast and DistributedDataParallel.

    torchrun --standalone --nproc-per-node 2 examples/mixed_precision_ddp.py
    torchrun --standalone --nproc-per-node 2 examples/mixed_precision_ddp.py --quick    # its numbers mean nothing

One process a GPU, or processes on the CPU where there is none; without torchrun a single one. Two things to know: the loss's one
`backward()` is where DDP averages, and images and targets stay float32, so that the cosine is taken in float32.
"""

import argparse
import os

import torch
from sklearn.datasets import load_digits
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import pag

LAMBDA, BATCH = 2.0, 64  # of all processes together


def digits() -> tuple[Tensor, Tensor]:
    """Images `(N, 1, 8, 8)` in [0, 1] and labels `(N,)`."""
    data = load_digits()
    return torch.from_numpy(data.images).float()[:, None] / 16, torch.from_numpy(data.target).long()


def network() -> nn.Module:
    """Pixels in [0, 1] to 10 logits; the same weights in every process."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 64, 3, 2, padding=1), nn.SiLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(1024, 10))


def train(model: nn.Module, images: Tensor, labels: Tensor, targets: Tensor, steps: int) -> float:
    """Trains in place, each process on its rows of every batch; gives the last step's mean cosine in this process."""
    rank, ranks, device = distributed.get_rank(), distributed.get_world_size(), images.device
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)  # of the same draws in every process, which takes its rows of them
    cosine = torch.zeros(())
    for _ in range(steps):
        rows = torch.randint(len(images), (BATCH,), generator=generator)[rank::ranks].to(device)
        classes = pag.draw_classes(BATCH, 10, 1, generator)[rank::ranks].to(device)
        with torch.autocast(device.type, torch.bfloat16):
            aligned = pag.alignment_loss(parallel, images[rows], classes, targets[rows[:, None], classes])
            loss = cross_entropy(aligned.logits, labels[rows]) + LAMBDA * aligned.loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cosine = aligned.cosine
    return float(cosine)


def main(quick: bool) -> None:
    for name, alone in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        os.environ.setdefault(name, alone)  # torchrun has set them
    cuda = torch.cuda.is_available()
    distributed.init_process_group("nccl" if cuda else "gloo")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    images, labels = digits()
    if quick:
        images, labels = images[:200], labels[:200]
    targets = pag.kernel_targets(images, labels)
    model = network().to(device)
    cosine = train(model, images.to(device), labels.to(device), targets.to(device), steps=5 if quick else 500)
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    of_rank_0 = weights.clone()
    distributed.broadcast(of_rank_0, src=0)
    print(f"rank {distributed.get_rank()}: cosine {cosine:.3f}, weights of rank 0: {torch.equal(weights, of_rank_0)}")
    if quick and distributed.get_rank() == 0:
        print("A quick run: these numbers mean nothing.")
    distributed.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
