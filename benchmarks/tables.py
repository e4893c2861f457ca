"""What a run prints: a line a shape while it measures, means, and a table in Markdown.

A ratio is a peer's time over ours in the same role: functions that get the weights at every call
against a call of tconv, weights packed ahead against a plan.
"""

import math

OURS = ("tconv", "plan", "out")
TORCH = ("torch", "torch_cl")  # channels first and channels last
FUNCTIONAL_PEERS = (*TORCH, "onnxruntime")
PACKED_PEERS = ("packed", "packed_cl")
BEST = {
    "best torch": TORCH,
    "best functional": FUNCTIONAL_PEERS,
    "best packed": PACKED_PEERS,
}
LEAST_FLOPS = 1e5  # a shape of less work measures the call, not the arithmetic


# ---- figures ----


def ratio(result, contender):
    """A peer's time over ours in the same role, or None."""
    seconds = result["seconds"]
    ours = "plan" if contender in PACKED_PEERS else "tconv"
    if contender not in seconds or ours not in seconds:
        return None
    return seconds[contender] / seconds[ours]


def best_ratio(result, contenders):
    """The best of some peers over ours, or None."""
    ratios = [r for r in (ratio(result, c) for c in contenders) if r]
    return min(ratios) if ratios else None


def gflops(result):
    """The speed of a call, or None where there is next to nothing to compute."""
    return result["flops"] / result["seconds"]["tconv"] / 1e9 if has_work(result) else None


def percent_of_limit(result):
    """The speed of a call against the machine's, or None as for `gflops`."""
    return 100 * result["limit"] / result["seconds"]["tconv"] if has_work(result) else None


def has_work(result):
    return result["flops"] > LEAST_FLOPS


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


# ---- text ----


def print_head(title, threads, peak, contenders):
    print(f"\n{title}, {count(threads)}, FMA peak {peak / 1e9:.0f} GFLOP/s")
    if "plan" in contenders:
        print("ms: medians; GF/s and % of the limit: the better of tconv and a plan; then time /")
        print("ours: functional peers / tconv, packed peers / plan")
    else:
        print("ms: medians; GF/s and % of the limit: tconv; then time / tconv:")
    columns = "".join(f"{c:>9}" for c in contenders if c in OURS)
    ratios = "".join(f"{c:>12}" for c in contenders if c not in OURS)
    print(f"{'shape':20}{'engine':>14}{'limit':>9}{columns}{'GF/s':>7}{'%':>5}{ratios}")


def count(threads):
    return f"{threads} thread{'s' if threads > 1 else ''}"


def print_row(result, contenders):
    seconds = result["seconds"]
    best = min(seconds[c] for c in OURS if c in seconds)
    row = f"{result['name']:20}{result['engine']:>14}{result['limit'] * 1e3:9.3f}"
    row += "".join(f"{seconds[c] * 1e3:9.3f}" for c in contenders if c in OURS)
    row += f"{result['flops'] / best / 1e9:7.1f}{result['limit'] / best * 100:5.0f}"
    for contender in contenders:
        if contender not in OURS:
            value = ratio(result, contender)
            row += f"{value:12.2f}" if value else f"{'-':>12}"
    print(row, flush=True)


def print_means(results, contenders):
    groups = {c: {c} for c in contenders if c not in OURS}
    for name, peers in BEST.items():
        present = {c for c in peers if c in contenders}
        if present and present not in groups.values():
            groups[name] = present
    print("geometric mean and minimum of the ratios")
    for name, group in groups.items():
        values = {r["name"]: best_ratio(r, group) for r in results}
        values = {shape: value for shape, value in values.items() if value}
        if values:
            worst = min(values, key=values.get)
            mean = geometric_mean(values.values())
            print(f"  {name:16}{mean:7.2f}{values[worst]:8.2f} ({worst})")
    shares = [percent_of_limit(r) / 100 for r in results if has_work(r)]
    if shares:
        print(f"  {'limit / tconv':16}{geometric_mean(shares):7.2f}")


# ---- Markdown ----

COLUMNS = (
    ("GFLOP/s", gflops, ".1f"),
    ("% of limit", percent_of_limit, ".0f"),
    ("torch / tconv", lambda result: ratio(result, "torch"), ".2f"),
    ("best peer / tconv", lambda r: best_ratio(r, FUNCTIONAL_PEERS + PACKED_PEERS), ".2f"),
)


def markdown(results):
    """A table for each title, which says so where there are several."""
    titles = dict.fromkeys(result["title"] for result in results)
    parts = {title: table([r for r in results if r["title"] == title]) for title in titles}
    if len(parts) == 1:
        return "".join(parts.values())
    return "\n\n".join(f"**{title}**\n\n{part}" for title, part in parts.items())


def table(results):
    """A row a shape, thread counts side by side, then the columns' means and minima."""
    runs = {}  # by the number of threads, results by shape
    for result in results:
        runs.setdefault(result["threads"], {})[result["name"]] = result
    shapes = dict.fromkeys(result["name"] for result in results)
    columns = [
        column({shape: run[shape] for shape in shapes if shape in run}, function, form)
        for run in runs.values()
        for _, function, form in COLUMNS
    ]
    titles = [f"{title} ({count(threads)})" for threads in runs for title, *_ in COLUMNS]
    rows = [*shapes, "**geometric mean**", "**minimum**"]
    lines = [table_row("shape", titles), table_row("---", ["--:"] * len(titles))]
    lines += [table_row(row, [cells.get(row, "-") for cells in columns]) for row in rows]
    return "\n".join(lines)


def column(run, function, form):
    """One column's cells by row."""
    values = {shape: function(result) for shape, result in run.items()}
    values = {shape: value for shape, value in values.items() if value}
    if values:
        numbers = list(values.values())
        values |= {"**geometric mean**": geometric_mean(numbers), "**minimum**": min(numbers)}
    return {row: format(value, form) for row, value in values.items()}


def table_row(name, cells):
    return f"| {' | '.join([name, *cells])} |"
