# ruff: noqa
"""Autoencoder, VAE, DCGAN, siamese and spatial transformer networks."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 6, 3, stride=3, padding=1),
            nn.ReLU(True),
            nn.MaxPool2d(2, stride=2),
            nn.Conv2d(6, 4, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(4, 6, 3, stride=2),
            nn.PReLU(),
            nn.ConvTranspose2d(6, 4, 5, stride=3, padding=1, output_padding=1),
            nn.ELU(True),
            nn.ConvTranspose2d(4, 1, 2, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, x):
        x = self.encoder(x)
        x = self.decoder(x)
        return x


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(64, 12)
        self.fc21 = nn.Linear(12, 3)
        self.fc22 = nn.Linear(12, 3)
        self.fc3 = nn.Linear(3, 12)
        self.fc4 = nn.Linear(12, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 64))
        z = self.reparameterize(mu, logvar)
        recon = self.decode(z)
        target = torch.sigmoid(x).view(-1, 64).detach()
        BCE = F.binary_cross_entropy(recon, target, reduction="sum")
        KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        return recon, mu, logvar, BCE + KLD


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        m.weight.data.normal_(0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        m.weight.data.normal_(1.0, 0.02)
        m.bias.data.fill_(0)


class Generator(nn.Module):
    def __init__(self, nz=5, ngf=3, nc=1):
        super(Generator, self).__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 4, 4, 1, 0, bias=False),
            nn.BatchNorm2d(ngf * 4),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 4, ngf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, nc, 4, 2, 1, bias=False),
            nn.Tanh(),
        )
        self.apply(weights_init)

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self, nc=1, ndf=4):
        super(Discriminator, self).__init__()
        self.main = nn.Sequential(
            nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ndf * 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )
        self.apply(weights_init)

    def forward(self, input):
        return self.main(input).view(-1, 1).squeeze(1)


class DCGAN(nn.Module):
    """Both players' losses from the same noise, as one output."""

    def __init__(self):
        super().__init__()
        self.netG = Generator()
        self.netD = Discriminator()
        self.criterion = nn.BCELoss()

    def forward(self, noise):
        b_size = noise.size(0)
        fake = self.netG(noise)
        real = torch.tanh(fake.detach() * 3)
        label = torch.full((b_size,), 1.0, dtype=noise.dtype, device=noise.device)
        output = self.netD(real).view(-1)
        errD_real = self.criterion(output, label)
        D_x = output.mean().item()
        label = label.clone().fill_(0.0)
        output = self.netD(fake.detach()).view(-1)
        errD_fake = self.criterion(output, label)
        label = torch.ones_like(label)
        errG = self.criterion(self.netD(fake).view(-1), label)
        return fake, errD_real, errD_fake, errG, torch.tensor(D_x)


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super(ContrastiveLoss, self).__init__()
        self.margin = margin

    def forward(self, output1, output2, label):
        euclidean_distance = F.pairwise_distance(output1, output2, keepdim=True)
        loss_contrastive = torch.mean(
            (1 - label) * torch.pow(euclidean_distance, 2)
            + (label) * torch.pow(torch.clamp(self.margin - euclidean_distance, min=0.0), 2)
        )
        return loss_contrastive


class SiameseNetwork(nn.Module):
    def __init__(self):
        super(SiameseNetwork, self).__init__()
        self.cnn1 = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(1, 4, kernel_size=3),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(4),
            nn.Dropout2d(p=0.2),
            nn.ReplicationPad2d((1, 0, 1, 2)),
            nn.Conv2d(4, 3, kernel_size=3, padding=1, padding_mode="circular"),
            nn.InstanceNorm2d(3, affine=True),
        )
        self.fc1 = nn.Sequential(nn.Linear(3 * 9 * 7, 10), nn.ReLU(inplace=True), nn.Linear(10, 4))
        self.criterion = ContrastiveLoss()

    def forward_once(self, x):
        output = self.cnn1(x)
        output = output.view(output.size()[0], -1)
        return self.fc1(output)

    def forward(self, pair):
        input1, input2 = torch.split(pair, 1, dim=1)
        output1, output2 = self.forward_once(input1), self.forward_once(input2)
        label = (torch.arange(pair.size(0)) % 2).to(output1).unsqueeze(1)
        cosine = F.cosine_similarity(output1, output2)
        triplet = F.triplet_margin_loss(output1, output2, output1.flip(0), margin=0.5)
        return output1, self.criterion(output1, output2, label), cosine, triplet


class STN(nn.Module):
    def __init__(self):
        super(STN, self).__init__()
        self.conv1 = nn.Conv2d(1, 4, kernel_size=5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(4 * 5 * 5, 8)
        self.localization = nn.Sequential(
            nn.Conv2d(1, 4, kernel_size=5), nn.MaxPool2d(2, stride=2), nn.ReLU(True)
        )
        self.fc_loc = nn.Sequential(nn.Linear(4 * 5 * 5, 8), nn.ReLU(True), nn.Linear(8, 3 * 2))
        # Initialize the weights/bias with identity transformation
        self.fc_loc[2].weight.data.zero_()
        self.fc_loc[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))

    def stn(self, x):
        xs = self.localization(x)
        xs = xs.view(-1, 4 * 5 * 5)
        theta = self.fc_loc(xs)
        theta = theta.view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size())
        x = F.grid_sample(x, grid)
        return x

    def forward(self, x):
        x = self.stn(x)
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv1(x)), 2))
        x = x.view(-1, 4 * 5 * 5)
        x = F.dropout(F.relu(self.fc1(x)), training=False)
        return F.log_softmax(x, dim=1)


class SubPixel(nn.Module):
    """Super-resolution: the channels become pixels."""

    def __init__(self, upscale_factor=2):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(6, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        nn.init.orthogonal_(self.conv1.weight, nn.init.calculate_gain("relu"))
        nn.init.orthogonal_(self.conv2.weight)

    def forward(self, x):
        return self.pixel_shuffle(self.conv2(F.relu(self.conv1(x))))


class StyleNet(nn.Module):
    """Instance norm, reflection padding, nearest upsampling; a Gram matrix as style."""

    def __init__(self):
        super().__init__()
        self.reflection_pad = nn.ReflectionPad2d(2)
        self.conv = nn.Conv2d(3, 4, 5, 2)
        self.norm = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
        self.out = nn.utils.spectral_norm(nn.Conv2d(4, 3, 3, padding=1))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(-1, 1, 1))

    def gram_matrix(self, y):
        (b, ch, h, w) = y.size()
        features = y.view(b, ch, w * h)
        features_t = features.transpose(1, 2)
        gram = features.bmm(features_t) / (ch * h * w)
        return gram

    def forward(self, x):
        y = F.relu(self.norm(self.conv(self.reflection_pad(x - self.mean))))
        y = F.interpolate(y, mode="nearest", scale_factor=2)
        y = self.out(y)
        return y, self.gram_matrix(y)


MODELS = {
    "autoencoder": (AutoEncoder, (2, 1, 28, 28)),
    "VAE": (VAE, (3, 1, 8, 8)),
    "DCGAN": (DCGAN, (3, 5, 1, 1)),
    "siamese": (SiameseNetwork, (4, 2, 6, 6)),
    "spatial transformer": (STN, (2, 1, 14, 14)),
    "sub-pixel": (SubPixel, (2, 1, 6, 7)),
    "style transfer": (StyleNet, (2, 3, 9, 10)),
}
