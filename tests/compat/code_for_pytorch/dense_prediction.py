# ruff: noqa
"""U-Net, a fully convolutional network, SegNet, ASPP: one prediction per pixel."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class DoubleConv(nn.Module):
    """(convolution => [BN] => ReLU) * 2"""

    def __init__(self, in_channels, out_channels, mid_channels=None):
        super().__init__()
        if not mid_channels:
            mid_channels = out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, in_channels, out_channels, bilinear=True):
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        # input is CHW
        diffY = x2.size()[2] - x1.size()[2]
        diffX = x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        x = torch.cat([x2, x1], dim=1)
        return self.conv(x)


class OutConv(nn.Module):
    def __init__(self, in_channels, out_channels):
        super(OutConv, self).__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    def __init__(self, n_channels, n_classes, bilinear=False):
        super(UNet, self).__init__()
        self.n_channels = n_channels
        self.n_classes = n_classes
        self.bilinear = bilinear
        factor = 2 if bilinear else 1
        self.inc = DoubleConv(n_channels, 4)
        self.down1 = Down(4, 8)
        self.down2 = Down(8, 16 // factor)
        self.up1 = Up(16, 8 // factor, bilinear)
        self.up2 = Up(8, 4, bilinear)
        self.outc = OutConv(4, n_classes)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x = self.up1(x3, x2)
        x = self.up2(x, x1)
        return self.outc(x)


def get_upsampling_weight(in_channels, out_channels, kernel_size):
    """Make a 2D bilinear kernel suitable for upsampling"""
    factor = (kernel_size + 1) // 2
    if kernel_size % 2 == 1:
        center = factor - 1
    else:
        center = factor - 0.5
    og = np.ogrid[:kernel_size, :kernel_size]
    filt = (1 - abs(og[0] - center) / factor) * (1 - abs(og[1] - center) / factor)
    weight = np.zeros((in_channels, out_channels, kernel_size, kernel_size), dtype=np.float64)
    weight[range(in_channels), range(out_channels), :, :] = filt
    return torch.from_numpy(weight).float()


class FCN(nn.Module):
    def __init__(self, n_class=4):
        super(FCN, self).__init__()
        self.conv1_1 = nn.Conv2d(3, 6, 3, padding=10)
        self.relu1_1 = nn.ReLU(inplace=True)
        self.pool1 = nn.MaxPool2d(2, stride=2, ceil_mode=True)  # 1/2
        self.conv2_1 = nn.Conv2d(6, 8, 3, padding=1)
        self.relu2_1 = nn.ReLU(inplace=True)
        self.pool2 = nn.MaxPool2d(2, stride=2, ceil_mode=True)  # 1/4
        self.score_fr = nn.Conv2d(8, n_class, 1)
        self.score_pool1 = nn.Conv2d(6, n_class, 1)
        self.upscore2 = nn.ConvTranspose2d(n_class, n_class, 4, stride=2, bias=False)
        self.upscore4 = nn.ConvTranspose2d(n_class, n_class, 4, stride=2, bias=False)
        self._initialize_weights()

    def _initialize_weights(self):
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.xavier_uniform_(m.weight, gain=nn.init.calculate_gain("relu"))
                if m.bias is not None:
                    m.bias.data.zero_()
            if isinstance(m, nn.ConvTranspose2d):
                assert m.kernel_size[0] == m.kernel_size[1]
                initial_weight = get_upsampling_weight(
                    m.in_channels, m.out_channels, m.kernel_size[0]
                )
                m.weight.data.copy_(initial_weight)

    def forward(self, x):
        h = x
        h = self.relu1_1(self.conv1_1(h))
        h = self.pool1(h)
        pool1 = h
        h = self.relu2_1(self.conv2_1(h))
        h = self.pool2(h)
        h = self.score_fr(h)
        h = self.upscore2(h)
        upscore2 = h
        h = self.score_pool1(pool1)
        h = h[:, :, 5 : 5 + upscore2.size()[2] - 5, 5 : 5 + upscore2.size()[3] - 5]
        h = upscore2[:, :, : h.size(2), : h.size(3)] + h
        h = self.upscore4(h)
        return h[:, :, 4 : 4 + x.size()[2], 4 : 4 + x.size()[3]].contiguous()


class SegNet(nn.Module):
    """Pooling remembers where the maxima were, unpooling puts them back."""

    def __init__(self, n_class=3):
        super().__init__()
        self.enc1 = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.enc2 = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.MaxPool2d(2, 2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2, 2)
        self.dec2 = nn.Sequential(nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.dec1 = nn.Conv2d(6, n_class, 3, padding=1)

    def forward(self, x):
        size1 = x.size()
        x, idx1 = self.pool(self.enc1(x))
        size2 = x.size()
        x, idx2 = F.max_pool2d(self.enc2(x), kernel_size=2, stride=2, return_indices=True)
        x = self.dec2(F.max_unpool2d(x, idx2, kernel_size=2, stride=2, output_size=size2))
        x = self.dec1(self.unpool(x, idx1, output_size=size1))
        return F.log_softmax(x, dim=1)


class ASPP(nn.Module):
    def __init__(self, in_channels=3, out_channels=4, atrous_rates=(2, 3), num_classes=3):
        super().__init__()
        modules = [nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.ReLU())]
        for rate in tuple(atrous_rates):
            modules.append(
                nn.Sequential(
                    nn.Conv2d(
                        in_channels, out_channels, 3, padding=rate, dilation=rate, bias=False
                    ),
                    nn.GroupNorm(2, out_channels),
                    nn.ReLU(),
                )
            )
        self.pooling = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, out_channels, 1)
        )
        self.convs = nn.ModuleList(modules)
        self.project = nn.Conv2d((len(self.convs) + 1) * out_channels, num_classes, 1)

    def forward(self, x):
        input_shape = x.shape[-2:]
        _res = []
        for conv in self.convs:
            _res.append(conv(x))
        pooled = self.pooling(x)
        _res.append(F.interpolate(pooled, size=input_shape, mode="bilinear", align_corners=False))
        res = torch.cat(_res, dim=1)
        out = self.project(F.max_pool2d(res, 2))
        return F.interpolate(out, scale_factor=2, mode="nearest")


MODELS = {
    "U-Net, transposed convolutions": (lambda: UNet(3, 2), (2, 3, 14, 11)),
    "U-Net, bilinear": (lambda: UNet(n_channels=3, n_classes=2, bilinear=True), (2, 3, 13, 16)),
    "FCN": (FCN, (2, 3, 12, 15)),
    "SegNet": (SegNet, (2, 3, 9, 8)),
    "ASPP": (ASPP, (2, 3, 8, 10)),
}
