"""The inverse of a short-time Fourier transform, as a transposed convolution and by overlap-add.

    python examples/istft.py [--wav chord.wav] [--seconds 5] [--rounds 15]

A recording, made here, is cut into windowed frames of N samples, a hop apart, and each is taken to
its spectrum X. The way back gives frame t, at its sample n,

    1/N * sum over k of c_k * (Re X_k cos(2 pi k n/N) - Im X_k sin(2 pi k n/N)),

where c_k is 1 for k = 0 and k = N/2 and else 2, times the window; it adds the frames up where they
overlap, and divides by the sum of the squared windows (Griffin and Lim, 1984). That is done twice:

* by `tconv.conv_transpose1d`: the real and imaginary parts are its channels, the windowed cosines
  and sines its kernels, the hop its stride. NumPy's spectra, frame after frame and with both parts
  of a number side by side, are read as they lie;
* by `numpy.fft.irfft` and `tconv.overlap_add`, which is how to do it: N log N operations a frame
  instead of N**2. Networks that learn the kernels do not have that choice.

The example prints the largest error of both, as a part of the recording's peak, in float64 and in
float32, and writes what the transposed convolution restored. In float32 the latter errs more: each
sample is a sum of about 4000 products, one after the other. If torch is installed, the example
times both ways in float32, against torch's transposed convolution and `torch.istft`.
"""

import argparse
import time
import wave

import numpy as np

import tconv

RATE = 22050
FRAME = 1024
HOP = 256
# A whole period of the cosine is FRAME samples: it would begin again at the one after the last.
WINDOW = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)


def main():
    arguments = parse_arguments()
    sound = make_recording(arguments.seconds)
    spectra = analyse(sound)
    print(f"{len(sound)} samples, {len(spectra)} frames of {FRAME}, {HOP} apart")
    for dtype in ("complex64", "complex128"):
        narrow = spectra.astype(dtype)
        convolved = with_convolution(narrow, inverse_kernels(narrow.real.dtype), len(sound))
        added = with_overlap_add(narrow, len(sound))
        print(f"{convolved.dtype}, largest error as a part of the peak:")
        print(f"  tconv.conv_transpose1d       {error(convolved, sound):.1e}")
        print(f"  irfft and tconv.overlap_add  {error(added, sound):.1e}")
    write_wav(arguments.wav, convolved)
    print(f"wrote {arguments.wav}")
    compare_with_torch(spectra.astype("complex64"), len(sound), arguments.rounds)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wav", default="chord.wav", help="where the restored sound goes")
    parser.add_argument("--seconds", type=float, default=5.0, help="of the recording")
    parser.add_argument("--rounds", type=int, default=15, help="of the timing")
    return parser.parse_args()


def make_recording(seconds, seed=0):
    """A chord of A minor that fades out, with its overtones and some noise; its peak is 0.9."""
    time_axis = np.arange(int(seconds * RATE)) / RATE
    sound = 0.01 * np.random.default_rng(seed).standard_normal(len(time_axis))
    for note in (220.0, 261.63, 329.63):
        for overtone in range(1, 6):
            sound += np.sin(2 * np.pi * note * overtone * time_axis) / overtone**2
    sound *= np.exp(-time_axis)
    return 0.9 / np.abs(sound).max() * sound


def analyse(sound):
    """Spectra (frames, FRAME/2 + 1); the first frame's middle is the first sample."""
    padded = np.pad(sound, FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    return np.fft.rfft(frames * WINDOW)


def inverse_kernels(dtype):
    """(channels, 1, FRAME): cosine and sine of each frequency in turn, times the window."""
    frequencies, samples = np.arange(FRAME // 2 + 1), np.arange(FRAME)
    angles = 2 * np.pi / FRAME * (np.outer(frequencies, samples) % FRAME)
    times = np.where(frequencies % (FRAME // 2), 2, 1) / FRAME
    pairs = np.stack([np.cos(angles), -np.sin(angles)], axis=1)
    kernels = WINDOW * times[:, None, None] * pairs
    return kernels.reshape(-1, 1, FRAME).astype(dtype)


def with_convolution(spectra, kernels, length):
    return normalize(synthesis(spectra, kernels), len(spectra), length)


def synthesis(spectra, kernels, threads=None):
    """The sum of the windowed frames."""
    parts = spectra.view(kernels.dtype)[None]  # (1, frames, channels)
    options = {"stride": HOP, "layout": "NLC->NCL", "threads": threads}
    return tconv.conv_transpose1d(parts, kernels, **options)[0, 0]


def with_overlap_add(spectra, length):
    frames = np.fft.irfft(spectra)
    summed = tconv.overlap_add(frames.T, HOP, WINDOW.astype(frames.dtype))
    return normalize(summed, len(spectra), length)


def normalize(summed, frames, length):
    """Over the sum of the squared windows, and without the padding."""
    squares = np.broadcast_to(WINDOW.astype(summed.dtype)[:, None] ** 2, (FRAME, frames))
    inside = slice(FRAME // 2, FRAME // 2 + length)
    return summed[inside] / tconv.overlap_add(squares, HOP)[inside]


def error(restored, sound):
    return np.abs(restored - sound).max() / np.abs(sound).max()


def write_wav(path, sound):
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(sound * 32767).clip(-32768, 32767).astype("<i2").tobytes())


def compare_with_torch(spectra, length, rounds):
    try:
        import torch
    except ImportError:
        print("torch is not installed: nothing to compare with")
        return
    kernels = inverse_kernels(np.float32)
    parts = torch.from_numpy(spectra.view(np.float32)).T.contiguous()[None]
    tensors = [torch.from_numpy(array) for array in (kernels, spectra, WINDOW.astype(np.float32))]
    weight, spectrum, window = tensors
    for threads in sorted({1, tconv.get_num_threads()}):
        torch.set_num_threads(threads)
        calls = {
            "tconv.conv_transpose1d": lambda n=threads: synthesis(spectra, kernels, n),
            "torch conv_transpose1d": lambda: torch.nn.functional.conv_transpose1d(
                parts, weight, stride=HOP
            ),
            "irfft and tconv.overlap_add": lambda: with_overlap_add(spectra, length),
            "torch.istft": lambda: torch.istft(
                spectrum.T, FRAME, HOP, window=window, length=length
            ),
        }
        print(f"{threads} thread{'s' * (threads > 1)}, milliseconds:")
        for name, time_taken in medians(calls, rounds).items():
            print(f"  {name:27}  {time_taken:.2f}")


def medians(calls, rounds, block=4):
    """Milliseconds a call, of blocks in turn; a block's first call finds others' caches."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name] += [seconds(call) for _ in range(block)][1:]
    return {name: 1e3 * float(np.median(values)) for name, values in times.items()}


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
