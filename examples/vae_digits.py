"""A variational autoencoder of handwritten digits: 8 numbers an image, and images of any 8 numbers.

    python examples/vae_digits.py [--quick] [--compare] [--folder FOLDER]

The model: an image x comes from a code z of LATENT numbers, z ~ N(0, I) and x ~ N(g(z), s^2 I).
The decoder g is a network of transposed convolutions. Which z an x came from is the posterior,
which nobody can compute; the encoder approximates it by q(z|x) = N(m, diag(d^2)), where m and
log d^2 are the outputs of a network of convolutions. For any q,

    log p(x)  >=  E_q[log p(x|z)] - KL(q(z|x) || p(z))          (the evidence lower bound, ELBO),

and the less q differs from the posterior, the closer the two are. Training both networks to raise
the ELBO is, up to a constant, training them to lower the mean over the images of

    loss  =  E_q |x - g(z)|^2 / (2 s^2)  +  1/2 sum(m^2 + d^2 - 1 - log d^2).

The expectation is taken from one draw. For its gradient to reach m and d the draw is written as
z = m + d e with e ~ N(0, I), the reparametrisation, and so, with G the gradient that g passes back,

    dloss/dm = G + m,       dloss/d(log d^2) = 1/2 (G e d + d^2 - 1).

The first term of the loss wants codes that are far apart for their noise, the second one wants all
codes to be N(0, I); s weighs the two. A small s gives sharp reconstructions, but leaves holes
between the codes where g has learnt nothing, and a z drawn from N(0, I) falls into them.

The example prints the mean square error of digits held out from training, beside that of as many
principal components, the best that a linear autoencoder can do; writes vae_digits.png,
vae_digits_loss.png and vae_digits.safetensors; and with --compare times a step against torch.

D. P. Kingma, M. Welling, Auto-encoding variational Bayes, arXiv:1312.6114 (2013).
"""

import digits
import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from tqdm import trange

from tconv import nn

LATENT = 8
VARIANCE = 0.2  # s^2, of a pixel
BATCH = 64
RATE = 2e-3
COLUMNS = 16  # of the picture


class VAE(nn.Module):
    def __init__(self, rng):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1, rng=rng),  # 16x16 -> 8x8
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 4, stride=2, padding=1, rng=rng),  # -> 4x4
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 2 * LATENT, rng=rng),
        )
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (LATENT, 1, 1)),
            nn.ConvTranspose2d(LATENT, 64, 4, rng=rng),  # 1x1 -> 4x4
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, rng=rng),  # -> 8x8
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1, rng=rng),  # -> 16x16
            nn.Sigmoid(),
        )

    def encode(self, x):
        """Mean and log of the variance of q(z|x)."""
        return np.split(self.encoder(x), 2, axis=1)

    def forward(self, x):
        """Reconstructions, of the means."""
        return self.decoder(self.encode(x)[0])


def train_step(vae, optimizer, x, noise):
    """One step down the loss of a batch; returns the two terms of the loss."""
    n = len(x)
    mean, log_variance = vae.encode(x)
    deviation = np.exp(log_variance / 2)
    error = vae.decoder(mean + deviation * noise) - x

    optimizer.zero_grad()
    of_z = vae.decoder.backward(error / VARIANCE / n)
    of_mean = of_z + mean / n
    of_log_variance = (of_z * noise * deviation + (deviation**2 - 1) / n) / 2
    vae.encoder.backward(np.concatenate([of_mean, of_log_variance], axis=1), input=False)
    optimizer.step()

    divergence = (mean**2 + deviation**2 - 1 - log_variance).sum() / (2 * n)
    return (error**2).sum() / (2 * VARIANCE * n), divergence


def train(vae, images, epochs, rng):
    """The terms of the loss, each an array over the steps."""
    optimizer = nn.Adam(vae, RATE)
    history = []
    progress = trange(epochs, unit="epoch")
    for epoch in progress:
        optimizer.lr = RATE * (1 - epoch / epochs)
        for x in digits.batches(images, BATCH, rng):
            noise = rng.standard_normal((BATCH, LATENT), np.float32)
            history.append(train_step(vae, optimizer, x, noise))
        progress.set_postfix(loss=f"{sum(history[-1]):.1f}")
    return np.transpose(history)


def main():
    arguments = digits.parse_arguments(__doc__)
    rng = np.random.default_rng(0)
    images, held_out, _, _ = digits.load()
    vae = VAE(rng)
    if arguments.compare:
        compare_with_torch(vae, images[:BATCH], rng, rounds=1 if arguments.quick else 20)
        return

    misfit, divergence = train(vae, images, 3 if arguments.quick else 120, rng)
    loss = misfit + divergence
    print(f"loss: {loss[0]:.1f} in the first step, {loss[-20:].mean():.1f} in the last ones")
    vae.eval()
    restored = vae(held_out)

    weights = arguments.folder / "vae_digits.safetensors"
    vae.save(weights)
    vae = VAE(rng)
    vae.load(weights)
    vae.eval()
    print(f"wrote {weights}; read again, it differs by {np.abs(vae(held_out) - restored).max()}")

    pca = PCA(LATENT, random_state=0).fit(digits.flat(images))
    linear = pca.inverse_transform(pca.transform(digits.flat(held_out))).reshape(held_out.shape)
    print(f"mean square error of {len(held_out)} digits held out, each from {LATENT} numbers:")
    for name, y in (("this VAE", restored), ("PCA", linear)):
        print(f"  {name:8}  {np.mean((y - held_out) ** 2):.4f}")

    samples = vae.decoder(rng.standard_normal((5 * COLUMNS, LATENT), np.float32))
    save_picture(arguments.folder / "vae_digits.png", held_out, restored, linear, samples)
    curves = {"squared error / 2 s^2": misfit, "KL divergence": divergence}
    digits.save_curves(arguments.folder / "vae_digits_loss.png", curves)


def save_picture(path, held_out, restored, linear, samples):
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    above, below = figure.subplots(2, height_ratios=(3, 5))
    rows = {"held out": held_out, "VAE": restored, "PCA": linear}
    stacked = np.stack([images[:COLUMNS] for images in rows.values()])
    digits.show(above, stacked, f"Digits held out, and what {LATENT} numbers keep of them", rows)
    samples = samples.reshape(-1, COLUMNS, *samples.shape[1:])
    digits.show(below, samples, f"Digits from {LATENT} random numbers", ())
    figure.savefig(path, dpi=120)


def compare_with_torch(vae, x, rng, rounds):
    import torch

    noise = rng.standard_normal((len(x), LATENT), np.float32)
    encoder, decoder = digits.twin(vae.encoder), digits.twin(vae.decoder)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], RATE)
    tensors = torch.from_numpy(x), torch.from_numpy(noise)

    def step_in_torch(x=tensors[0], noise=tensors[1]):
        mean, log_variance = encoder(x).chunk(2, dim=1)
        y = decoder(mean + torch.exp(log_variance / 2) * noise)
        misfit = torch.sum((y - x) ** 2) / (2 * VARIANCE)
        divergence = torch.sum(mean**2 + torch.exp(log_variance) - 1 - log_variance) / 2
        loss = (misfit + divergence) / len(x)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    optimizer = nn.Adam(vae, RATE)
    digits.race(lambda: sum(train_step(vae, optimizer, x, noise)), step_in_torch, rounds)


if __name__ == "__main__":
    main()
