# %% [markdown]
# From images to a page, cell by cell: an editor that knows `# %%` runs this file as a notebook. As a script:
#
#     python examples/walk.py             # a few minutes on one core; writes walk.html into the working directory
#     python examples/walk.py --quick     # a few seconds; its numbers mean nothing

# %%
import base64
import io
import sys
from functools import partial
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import pag

QUICK = "--quick" in sys.argv
EPOCHS, TRAINING, TESTED = (1, 200, 10) if QUICK else (20, 1500, 100)
mpl.use("agg")

# %% [markdown]
# **Images** are a tensor `(N, ch, H, W)` in [0, 1], labels are int64.

# %%
data = load_digits()
order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
images, labels = (torch.from_numpy(data.images).float()[:, None] / 16)[order], torch.from_numpy(data.target)[order]
x, y = images[:TRAINING], labels[:TRAINING]
test_x, test_y = images[-TESTED:], labels[-TESTED:]

# %% [markdown]
# **Target gradients**, one for each image and class: from each image's own class towards the others.

# %%
targets = pag.kernel_targets(x, y)


# %% [markdown]
# **Two classifiers**, trained alike but for λ of eq. (4).


# %%
def trained(lambda_: float) -> nn.Module:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Conv2d(1, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 64, 3, 2, padding=1), nn.SiLU()]
    model = nn.Sequential(*layers, nn.Conv2d(64, 64, 3, 2, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(256, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=generator).split(64):
            classes = pag.draw_classes(len(rows), 10, 1, generator)
            aligned = pag.alignment_loss(model, x[rows], classes, targets[rows[:, None], classes])
            optimizer.zero_grad()
            (cross_entropy(aligned.logits, y[rows]) + lambda_ * aligned.loss).backward()
            optimizer.step()
    return model.eval()


models = {"vanilla": trained(0.0), "aligned, λ = 2": trained(2.0)}

# %% [markdown]
# **What an attack draws**: a large step towards another class, by PGD.

# %%
zero = test_x[test_y == 0][:1] if bool((test_y == 0).any()) else test_x[:1]
towards = pag.PGD(pag.Threat("l2", 2.5), 40, 2.5 * 2.5 / 40, random_start=False, targeted=True)
drawn = {name: towards(model, zero.expand(10, -1, -1, -1), torch.arange(10)) for name, model in models.items()}

# %% [markdown]
# **How robust they are**: accuracy over ε. APGD alone is faster than the whole of AutoAttack, and an upper bound.

# %%
apgd = partial(pag.AutoAttack, attacks=("apgd-ce",) if QUICK else ("apgd-ce", "apgd-t"))
epsilons = (0.5, 1.0) if QUICK else (0.3, 0.6, 0.9, 1.2, 1.5)
curves = {
    name: pag.robustness_curve(model, test_x, test_y, "l2", epsilons, attack=apgd) for name, model in models.items()
}


# %% [markdown]
# **A figure and a page.**


# %%
def strip(adversarial: Tensor) -> Tensor:
    """Images `(10, 1, H, W)` side by side, `(H, 10 W)`."""
    return torch.cat(list(adversarial.squeeze(1)), dim=1)


def figure() -> Figure:
    drawing = Figure(figsize=(9, 6), layout="constrained")
    *rows, chart = drawing.subplots(len(models) + 1, 1, height_ratios=[1] * len(models) + [3])
    for axes, (name, adversarial) in zip(rows, drawn.items(), strict=True):
        axes.imshow(strip(adversarial).numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"{name}: an image pushed towards each class")
        axes.set_axis_off()
    for name, curve in curves.items():
        values, low, high = zip(*(accuracy.triple for accuracy in curve.accuracies), strict=True)
        (line,) = chart.plot(curve.epsilons, values, marker="o", label=name)
        chart.fill_between(curve.epsilons, low, high, color=line.get_color(), alpha=0.2)
    chart.set(xlabel="ε (L2)", ylabel=f"accuracy, n = {TESTED}, with 95 % intervals", ylim=(0, 1))
    chart.legend()
    return drawing


png = io.BytesIO()
figure().savefig(png, format="png", dpi=120)
note = "A quick run: these numbers mean nothing." if QUICK else "One training run each, on scikit-learn's digits; APGD."
page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Aligned gradients</title><h1>Aligned gradients</h1>
<img src="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}" alt="{" and ".join(models)}: accuracy over ε">
<p>{note}</p></html>"""
Path("walk.html").write_text(page, encoding="utf-8")
print(note, "Wrote walk.html.")
