import argparse
from pathlib import Path

import digits
import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from tqdm import trange

from tconv import nn

LATENT = 8
BATCH = 64


class VAE(nn.Module):
    def __init__(self, rng):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1, rng=rng),  # 16x16 -> 8x8
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 4, stride=2, padding=1, rng=rng),  # -> 4x4
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 2 * LATENT, rng=rng),  # mean and log of the variance
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(LATENT, 64, 4, rng=rng),  # 1x1 -> 4x4
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, rng=rng),  # -> 8x8
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1, rng=rng),  # -> 16x16
            nn.Sigmoid(),
        )

    def encode(self, images):
        return np.split(self.encoder(images), 2, axis=1)

    def decode(self, z):
        return self.decoder(z[:, :, None, None])

    def forward(self, images):
        return self.decode(self.encode(images)[0])


def step(vae, optimizer, x, noise, var):
    n, pixels = len(x), x[0].size
    mean, log_var = vae.encode(x)
    sd = np.exp(log_var / 2)
    y = vae.decode(mean + sd * noise)
    error = y - x
    variance = var or np.mean(error**2)
    misfit = np.sum(error**2) / n
    kl = np.sum(mean**2 + sd**2 - 1 - log_var) / (2 * n)
    optimizer.zero_grad()
    gz = vae.decoder.backward(error / (variance * n))[:, :, 0, 0]
    gmean = gz + mean / n
    glog = gz * noise * sd / 2 + (sd**2 - 1) / (2 * n)
    vae.encoder.backward(np.concatenate([gmean, glog], 1), input=False)
    optimizer.step()
    return misfit / pixels, kl


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=150)
    p.add_argument("--var", type=float, default=0)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--out", default="/tmp/w/h8_vae.png")
    a = p.parse_args()
    train, test, train_l, test_l = digits.load()
    rng = np.random.default_rng(0)
    vae = VAE(rng)
    opt = nn.Adam(vae, lr=a.lr)
    hist = []
    flat = lambda x: x.reshape(len(x), -1)
    pca = PCA(LATENT, random_state=0).fit(flat(train))
    pr = pca.inverse_transform(pca.transform(flat(test))).reshape(test.shape)
    print("pca", np.mean((pr - test) ** 2))
    total = a.epochs * (len(train) // BATCH)
    n = 0
    for e in trange(a.epochs):
        for x in digits.batches(train, BATCH, rng):
            opt.lr = a.lr * 0.5 * (1 + np.cos(np.pi * n / total)); n += 1
            noise = rng.standard_normal((len(x), LATENT), np.float32)
            hist.append(step(vae, opt, x, noise, a.var))
        if e % 10 == 9:
            vae.eval()
            print(e, np.mean(hist[-20:], 0), "test", np.mean((vae(test) - test) ** 2))
            vae.train()
    vae.eval()
    r = vae(test)
    s = vae.decode(rng.standard_normal((60, LATENT), np.float32))
    f = Figure(figsize=(8, 8))
    ax = f.subplots(2)
    digits.show(ax[0], np.stack([test[:20], r[:20], pr[:20]]), "recon")
    digits.show(ax[1], s.reshape(4, 15, 1, 16, 16), "samples")
    f.savefig(a.out)


main()
