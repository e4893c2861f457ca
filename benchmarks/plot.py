"""Two pictures of a run: every contender's time as a share of the limit, and the roofline."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import tables

COLOURS = {
    "tconv": "#c0392b",
    "plan": "#e67e22",
    "torch": "#7f8c8d",
    "torch_cl": "#b2bec3",
    "packed": "#2c3e50",
    "packed_cl": "#5d6d7e",
    "onnxruntime": "#2980b9",
}


def draw(results, path):
    """A column of pictures for each table and number of threads."""
    columns = {}
    for result in results:
        if tables.has_work(result):
            title = f"{result['title']}, {tables.count(result['threads'])}"
            columns.setdefault(title, []).append(result)
    if not columns:
        raise SystemExit("nothing to draw: these shapes have next to no work")
    figure, axes = plt.subplots(
        2, len(columns), figsize=(9 * len(columns), 14), squeeze=False, height_ratios=(3, 2)
    )
    for (bars, roofline), (title, chosen) in zip(axes.T, columns.items(), strict=True):
        draw_bars(bars, chosen, title)
        draw_roofline(roofline, chosen)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    print(f"wrote {path}")


def draw_bars(axis, results, title):
    names = [c for c in COLOURS if any(c in r["seconds"] for r in results)]
    height = 0.8 / len(names)
    for i, name in enumerate(names):
        places = [y + (i - (len(names) - 1) / 2) * height for y in range(len(results))]
        shares = [100 * r["limit"] / r["seconds"].get(name, np.inf) for r in results]
        axis.barh(places, shares, height, color=COLOURS[name], label=name)
    axis.set_yticks(range(len(results)), [r["name"] for r in results], fontsize=8)
    axis.invert_yaxis()
    axis.axvline(100, color="black", linewidth=0.8)
    axis.set_xlabel("% of what the machine can do")
    axis.set_title(f"{title}: longer is faster")
    axis.legend(fontsize=8, loc="lower right")


def draw_roofline(axis, results):
    peak = results[0]["peak"] / 1e9
    memory = min(r["bandwidth"] for r in results) / 1e9
    intensities = np.geomspace(0.3, 500, 100)
    axis.plot(intensities, np.minimum(peak, intensities * memory), color="black")
    for name in ("torch", "tconv"):
        x = [r["flops"] / r["bytes"] for r in results if name in r["seconds"]]
        y = [r["flops"] / r["seconds"][name] / 1e9 for r in results if name in r["seconds"]]
        axis.scatter(x, y, s=18, color=COLOURS[name], label=name)
    for r in results:
        place = r["flops"] / r["bytes"], r["flops"] / r["seconds"]["tconv"] / 1e9
        axis.annotate(r["name"], place, fontsize=6, xytext=(3, 2), textcoords="offset points")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("flop / byte")
    axis.set_ylabel("GFLOP/s")
    axis.set_title(f"roofline: {peak:.0f} GFLOP/s, {memory:.0f} GB/s from memory")
    axis.legend(fontsize=8)
