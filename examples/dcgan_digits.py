"""A DCGAN of handwritten digits: two networks in a contest, from which one learns to draw.

    python examples/dcgan_digits.py [--quick] [--compare] [--folder FOLDER]

The generator G makes an image of a noise z ~ N(0, I) and of the digit c that it is to be, by
transposed convolutions; the discriminator D gives ten numbers to an image, by convolutions, and
sigma(D_c(x)) is how probable it holds that x is a real c. It learns to lower the cross entropy

    loss of D  =  -E[log sigma(D_c(x))] - E[log(1 - sigma(D_c(G(z, c))))].

The generator could learn to raise the same; but as long as D tells its images with ease, sigma is
flat there and passes no gradient back. Instead it lowers, by the gradient through D,

    loss of G  =  -E[log sigma(D_c(G(z, c)))]                   (the non-saturating loss),

which pulls hardest where D is surest. Of -t log sigma(u) - (1 - t) log(1 - sigma(u)) the
derivative with respect to u is sigma(u) - t: for all three terms, with t = 1, 0 and 1.

D could learn the 1437 images by heart. So it is never told to be sure, t = 0.9 for real images
(one-sided label smoothing), and all that it sees is blurred by noise, which fades out in the course
of training.

A classifier that has learnt from real digits tells what the samples are. The example prints how
sure it is, how often it sees the digit that was asked for, and how many samples it takes for each
digit; and since it may be sure of scribbles too, how far samples are from the nearest image of the
training set, beside digits held out from it: much farther would be scribbles, much nearer would be
copies. It writes dcgan_digits.png, dcgan_digits_loss.png and dcgan_digits.safetensors; and with
--compare times a step against torch.

I. Goodfellow et al., Generative adversarial networks, arXiv:1406.2661 (2014).
A. Radford, L. Metz, S. Chintala, Unsupervised representation learning with deep convolutional
generative adversarial networks, arXiv:1511.06434 (2015).
T. Salimans et al., Improved techniques for training GANs, arXiv:1606.03498 (2016).
M. Mirza, S. Osindero, Conditional generative adversarial nets, arXiv:1411.1784 (2014).
"""

from functools import partial

import digits
import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import CalibratedClassifierCV
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC
from tqdm import trange

from tconv import nn

NOISE = 32
DIGITS = 10
BATCH = 64
RATE = 1e-3
BETAS = (0.0, 0.999)
REAL = 0.9  # what D is to say of real images
BLUR = 0.2  # deviation of the noise on what D sees, at the beginning


def make_networks(rng):
    """Generator and discriminator."""
    generator = nn.Sequential(
        nn.ConvTranspose2d(NOISE + DIGITS, 64, 4, bias=False, rng=rng),  # 1x1 -> 4x4
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, bias=False, rng=rng),  # -> 8x8
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1, rng=rng),  # -> 16x16
        nn.Sigmoid(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1, rng=rng),  # 16x16 -> 8x8
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, stride=2, padding=1, bias=False, rng=rng),  # -> 4x4
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, DIGITS, 4, rng=rng),  # -> 1x1
    )
    return generator, discriminator


def draw(labels, rng):
    """What the generator makes digits of: noise, and a 1 at the digit that it is to be."""
    noise = rng.standard_normal((len(labels), NOISE), np.float32)
    digit = np.eye(DIGITS, dtype=np.float32)[labels]
    return np.concatenate([noise, digit], axis=1)[:, :, None, None]


def cross_entropy(output, labels, t):
    """The mean of -t log sigma(u) - (1 - t) log(1 - sigma(u)), and the gradient of the output.

    u are the numbers of the output at the labels.
    """
    at = np.arange(len(labels)), labels
    u = output[at][:, 0, 0]
    gradient = np.zeros_like(output)
    gradient[at] = ((1 / (1 + np.exp(-u)) - t) / len(u))[:, None, None]
    return np.mean(np.logaddexp(0, u) - t * u), gradient


def train_step(generator, discriminator, optimizers, x, labels, z, blurs):
    """A step of the discriminator, then one of the generator; returns their losses."""
    of_generator, of_discriminator = optimizers
    fake = generator(z)

    of_discriminator.zero_grad()
    loss_of_d = 0
    for images, blur, target in ((x, blurs[0], REAL), (fake, blurs[1], 0)):
        loss, gradient = cross_entropy(discriminator(images + blur), labels, target)
        discriminator.backward(gradient, input=False)  # adds to the gradients
        loss_of_d += loss
    of_discriminator.step()

    of_generator.zero_grad()
    loss_of_g, gradient = cross_entropy(discriminator(fake + blurs[2]), labels, 1)
    of_fake = discriminator.backward(gradient, parameters=False)
    generator.backward(of_fake, input=False)
    of_generator.step()
    return loss_of_d, loss_of_g


def make_optimizers(*networks):
    return [nn.Adam(network, RATE, BETAS) for network in networks]


def train(generator, discriminator, images, labels, epochs, rng):
    """The losses of both, each an array over the steps."""
    optimizers = make_optimizers(generator, discriminator)
    history = []
    progress = trange(epochs, unit="epoch")
    for epoch in progress:
        left = 1 - epoch / epochs
        for optimizer in optimizers:
            optimizer.lr = RATE * min(1, 2 * left)
        for batch in digits.batches(np.arange(len(images)), BATCH, rng):
            x, c = images[batch], labels[batch]
            blurs = BLUR * left * rng.standard_normal((3, *x.shape), np.float32)
            losses = train_step(generator, discriminator, optimizers, x, c, draw(c, rng), blurs)
            history.append(losses)
        progress.set_postfix(D=f"{history[-1][0]:.2f}", G=f"{history[-1][1]:.2f}")
    return np.transpose(history)


def main():
    arguments = digits.parse_arguments(__doc__)
    rng = np.random.default_rng(0)
    images, held_out, labels, held_out_labels = digits.load()
    generator, discriminator = make_networks(rng)
    if arguments.compare:
        rounds = 1 if arguments.quick else 20
        compare_with_torch(generator, discriminator, images[:BATCH], labels[:BATCH], rng, rounds)
        return

    epochs = 3 if arguments.quick else 120
    loss_of_d, loss_of_g = train(generator, discriminator, images, labels, epochs, rng)
    generator.eval()
    asked = np.arange(1000) % DIGITS
    z = draw(asked, rng)
    samples = generator(z)

    weights = arguments.folder / "dcgan_digits.safetensors"
    generator.save(weights)
    generator, _ = make_networks(rng)
    generator.load(weights)
    generator.eval()
    print(f"wrote {weights}; read again, it differs by {np.abs(generator(z) - samples).max()}")

    classifier = CalibratedClassifierCV(SVC(C=10), ensemble=False).fit(digits.flat(images), labels)
    right = classifier.score(digits.flat(held_out), held_out_labels)
    print(f"a classifier, right about {right:.1%} of the digits held out:")
    neighbours = NearestNeighbors(n_neighbors=1).fit(digits.flat(images))
    for name, found in (("digits held out", held_out), ("samples", samples)):
        confidence = classifier.predict_proba(digits.flat(found)).max(axis=1).mean()
        distance = neighbours.kneighbors(digits.flat(found))[0].mean()
        print(f"  {name:15}  confidence {confidence:.3f}, nearest image at {distance:.2f}")
    classes = classifier.predict(digits.flat(samples))
    print(f"  samples that are the digit asked for: {np.mean(classes == asked):.1%}")
    print("  samples of the digits 0 to 9:", *np.bincount(classes, minlength=DIGITS))

    save_picture(arguments.folder / "dcgan_digits.png", samples)
    curves = {"discriminator": loss_of_d, "generator": loss_of_g}
    digits.save_curves(arguments.folder / "dcgan_digits_loss.png", curves)


def save_picture(path, samples, columns=16):
    """The first samples of each digit that was asked for, a row for each."""
    rows = samples[: DIGITS * columns].reshape(columns, DIGITS, *samples.shape[1:]).swapaxes(0, 1)
    figure = Figure(figsize=(8, 5.2), layout="constrained")
    digits.show(figure.subplots(), rows, "Digits that nobody wrote", range(DIGITS))
    figure.savefig(path, dpi=120)


def compare_with_torch(generator, discriminator, x, labels, rng, rounds):
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    z = draw(labels, rng)
    blurs = BLUR * rng.standard_normal((3, *x.shape), np.float32)
    real, noise, blur = (torch.from_numpy(array) for array in (x, z, blurs))
    g, d = digits.twin(generator), digits.twin(discriminator)
    adams = [torch.optim.Adam(network.parameters(), RATE, BETAS) for network in (g, d)]
    targets = [torch.full((len(x), 1, 1, 1), target) for target in (REAL, 0.0, 1.0)]
    at = torch.from_numpy(labels)[:, None, None, None]

    def step_in_torch():
        fake = g(noise)
        adams[1].zero_grad()
        loss_of_d = cross_entropy(d(real + blur[0]).gather(1, at), targets[0])
        loss_of_d += cross_entropy(d(fake.detach() + blur[1]).gather(1, at), targets[1])
        loss_of_d.backward()
        adams[1].step()
        adams[0].zero_grad()
        d.requires_grad_(False)
        loss_of_g = cross_entropy(d(fake + blur[2]).gather(1, at), targets[2])
        loss_of_g.backward()
        adams[0].step()
        d.requires_grad_(True)
        return loss_of_d.item() + loss_of_g.item()

    optimizers = make_optimizers(generator, discriminator)
    step = partial(train_step, generator, discriminator, optimizers, x, labels, z, blurs)
    digits.race(lambda: sum(step()), step_in_torch, rounds)


if __name__ == "__main__":
    main()
