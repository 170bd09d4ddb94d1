"""PyTorch models of images, sound and video, as people write them; see MODELS at the end."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def settled(model, seed=0):
    """Give the normalisations the statistics of a trained model, and switch to inference."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None:
            size = module.running_mean.shape
            module.running_mean.copy_(torch.randn(size, generator=generator) * 0.2)
            module.running_var.copy_(torch.rand(size, generator=generator) + 0.5)
        kinds = nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm
        if isinstance(module, kinds) and module.weight is not None:
            size = module.weight.shape
            with torch.no_grad():
                module.weight.copy_(torch.rand(size, generator=generator) * 0.4 + 0.8)
                module.bias.copy_(torch.randn(size, generator=generator) * 0.1)
    return model.eval()


def images(*shape, seed=1):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed))


def conv_bn(inputs, outputs, kernel=3, stride=1, groups=1, act=nn.ReLU, **settings):
    settings.setdefault("padding", (kernel - 1) // 2)
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False, **settings)]
    layers.append(nn.BatchNorm2d(outputs))
    if act is not None:
        layers.append(act(inplace=True) if act in (nn.ReLU, nn.Hardswish, nn.SiLU) else act())
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, channels=8, classes=3):
        super().__init__()
        self.down1 = self.block(3, channels)
        self.down2 = self.block(channels, 2 * channels)
        self.bottom = self.block(2 * channels, 4 * channels)
        self.up2 = nn.ConvTranspose2d(4 * channels, 2 * channels, 2, stride=2)
        self.join2 = self.block(4 * channels, 2 * channels)
        self.up1 = nn.ConvTranspose2d(
            2 * channels, channels, 3, stride=2, padding=1, output_padding=1
        )
        self.join1 = self.block(2 * channels, channels)
        self.head = nn.Conv2d(channels, classes, 1)

    @staticmethod
    def block(inputs, outputs):
        return nn.Sequential(conv_bn(inputs, outputs), conv_bn(outputs, outputs))

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.bottom(F.max_pool2d(b, 2))
        b = self.join2(torch.cat([self.up2(c), b], dim=1))
        a = self.join1(torch.cat([self.up1(b), a], dim=1))
        return self.head(a)


def unet():
    torch.manual_seed(1)
    return settled(UNet()), (images(3, 24, 32),)


class UNetResized(nn.Module):
    """Upsamples to the size of the skip, whatever it is, and pads what is missing."""

    def __init__(self):
        super().__init__()
        self.enter = conv_bn(1, 6)
        self.down = conv_bn(6, 12, stride=2)
        self.deep = conv_bn(12, 12, stride=2)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.join = conv_bn(24, 6)
        self.out = nn.Conv2d(12, 2, 3, padding=1)

    def forward(self, x):
        a = self.enter(x)
        b = self.down(a)
        c = self.up(self.deep(b))
        dy, dx = b.size(2) - c.size(2), b.size(3) - c.size(3)
        c = F.pad(c, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        d = self.join(torch.cat([b, c], 1))
        d = F.interpolate(d, size=a.shape[2:], mode="bilinear", align_corners=False)
        return torch.sigmoid(self.out(torch.cat([a, d], 1)))


def unet_resized():
    torch.manual_seed(2)
    return settled(UNetResized()), (images(1, 22, 26),)


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.rand(width) * 0.2)

    def forward(self, x):
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.pwconv2(self.act(self.pwconv1(self.norm(y))))
        return x + (self.gamma * y).permute(0, 3, 1, 2)


def convnext():
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 4, stride=4), LayerNorm2d(16, eps=1e-6),
        ConvNeXtBlock(16), ConvNeXtBlock(16),
        LayerNorm2d(16, eps=1e-6), nn.Conv2d(16, 24, 2, stride=2), ConvNeXtBlock(24),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.LayerNorm(24), nn.Linear(24, 10),
    )  # fmt: skip
    return settled(model), (images(3, 32, 32),)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


class ViTBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, width=32, patch=8, size=32):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        count = (size // patch) ** 2 + 1
        self.pos_embed = nn.Parameter(torch.randn(1, count, width) * 0.02)
        self.blocks = nn.ModuleList([ViTBlock(width, 4) for _ in range(2)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def vit():
    torch.manual_seed(4)
    return settled(ViT()), (images(3, 32, 32),)


class Bottleneck(nn.Module):
    def __init__(self, inputs, outputs, stride=1, dilation=1, groups=1):
        super().__init__()
        width = outputs // 2
        self.body = nn.Sequential(
            conv_bn(inputs, width, 1),
            conv_bn(width, width, 3, stride, groups, dilation=dilation, padding=dilation),
            conv_bn(width, outputs, 1, act=None),
        )
        self.short = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.short = conv_bn(inputs, outputs, 1, stride, act=None)

    def forward(self, x):
        return F.relu(self.body(x) + self.short(x))


def resnet_dilated():
    torch.manual_seed(5)
    model = nn.Sequential(
        conv_bn(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1),
        Bottleneck(16, 32), Bottleneck(32, 32, stride=2),
        Bottleneck(32, 48, dilation=2, groups=4), Bottleneck(48, 48, dilation=4),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout(0.2), nn.Linear(48, 12),
    )  # fmt: skip
    return settled(model), (images(3, 40, 40),)


class SqueezeExcite(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x):
        scale = F.adaptive_avg_pool2d(x, 1)
        return x * F.hardsigmoid(self.fc2(F.relu(self.fc1(scale))))


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, act):
        super().__init__()
        wide = 3 * inputs
        self.same = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            conv_bn(inputs, wide, 1, act=act), conv_bn(wide, wide, kernel, stride, wide, act=act),
            SqueezeExcite(wide), conv_bn(wide, outputs, 1, act=None),
        )  # fmt: skip

    def forward(self, x):
        return x + self.body(x) if self.same else self.body(x)


def mobilenet():
    torch.manual_seed(6)
    model = nn.Sequential(
        conv_bn(3, 8, 3, 2, act=nn.Hardswish),
        InvertedResidual(8, 8, 3, 1, nn.ReLU), InvertedResidual(8, 16, 5, 2, nn.Hardswish),
        InvertedResidual(16, 16, 5, 1, nn.Hardswish), conv_bn(16, 32, 1, act=nn.SiLU),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 20), nn.Hardswish(), nn.Linear(20, 10),
    )  # fmt: skip
    return settled(model), (images(3, 32, 32),)


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 2 * growth, 1)
        self.norm2 = nn.BatchNorm2d(2 * growth)
        self.conv2 = nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y)))], 1)


def densenet():
    torch.manual_seed(7)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), DenseLayer(8, 4), DenseLayer(12, 4), nn.BatchNorm2d(16),
        nn.ReLU(), nn.Conv2d(16, 8, 1), nn.AvgPool2d(2, 2), DenseLayer(8, 4), nn.BatchNorm2d(12),
        nn.ReLU(), nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Linear(48, 5), nn.LogSoftmax(1),
    )  # fmt: skip
    return settled(model), (images(3, 18, 18),)


class Inception(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.one = conv_bn(inputs, 8, 1)
        self.rows = nn.Sequential(
            conv_bn(inputs, 6, 1), nn.Conv2d(6, 8, (1, 7), padding=(0, 3)),
            nn.Conv2d(8, 8, (7, 1), padding=(3, 0)), nn.ReLU(),
        )  # fmt: skip
        self.five = nn.Sequential(conv_bn(inputs, 4, 1), conv_bn(4, 8, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv_bn(inputs, 4, 1))

    def forward(self, x):
        mean = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([self.one(x), self.rows(x), self.five(mean), self.pool(x)], 1)


def inception():
    torch.manual_seed(8)
    model = nn.Sequential(
        conv_bn(3, 8, 3, 2, padding=0), nn.MaxPool2d(3, 2, ceil_mode=True), Inception(8),
        nn.LocalResponseNorm(3, alpha=0.1), nn.AvgPool2d(3, 2, ceil_mode=True), Inception(28),
        nn.AdaptiveAvgPool2d((3, 2)), nn.Flatten(), nn.Linear(28 * 6, 7), nn.Softmax(dim=-1),
    )  # fmt: skip
    return settled(model), (images(3, 39, 36),)


def espcn():
    """Super resolution; the image may have any size."""
    torch.manual_seed(9)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.Tanh(), nn.Conv2d(16, 8, 3, padding=1), nn.Tanh(),
        nn.Conv2d(8, 9, 3, padding=1), nn.PixelShuffle(3), nn.Sigmoid(),
    )  # fmt: skip
    return settled(model), (images(1, 10, 12),)


class SuperResolution(nn.Module):
    """Residual over a bicubic upsampling, as EDSR-like networks have."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 12, 3, padding=1, padding_mode="replicate")
        self.body = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(12)) for _ in range(2)]
        )
        self.tail = nn.Sequential(
            nn.Conv2d(12, 48, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(12, 3, 3, padding=1)
        )

    def forward(self, x):
        y = self.head(x)
        for block in self.body:
            y = y + 0.1 * block(y)
        return self.tail(y) + F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)


def super_resolution():
    torch.manual_seed(10)
    return settled(SuperResolution()), (images(3, 14, 11),)


class FPN(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = conv_bn(3, 8, 3, 2), conv_bn(8, 16, 3, 2)
        self.c3 = conv_bn(16, 24, 3, 2)
        self.lateral = nn.ModuleList([nn.Conv2d(c, 12, 1) for c in (8, 16, 24)])
        self.smooth = nn.ModuleList([nn.Conv2d(12, 12, 3, padding=1) for _ in range(3)])

    def forward(self, x):
        c1 = self.c1(x)
        c2 = self.c2(c1)
        c3 = self.c3(c2)
        p3 = self.lateral[2](c3)
        p2 = self.lateral[1](c2) + F.interpolate(p3, size=c2.shape[-2:], mode="nearest")
        p1 = self.lateral[0](c1) + F.interpolate(
            p2, scale_factor=2, mode="bilinear", align_corners=False
        )
        maps = [layer(p) for layer, p in zip(self.smooth, (p1, p2, p3), strict=True)]
        return {"p1": maps[0], "p2": maps[1], "p3": maps[2], "pool": F.max_pool2d(maps[2], 1, 2)}


def fpn():
    torch.manual_seed(11)
    return settled(FPN()), (images(3, 32, 40),)


class Residual(nn.Module):
    def __init__(self, width, norm):
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), norm(width), nn.ReLU(True),
            nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), norm(width),
        )  # fmt: skip

    def forward(self, x):
        return x + self.body(x)


def style_transfer():
    torch.manual_seed(12)

    def instance(width):
        return nn.InstanceNorm2d(width, affine=True)

    def group(width):
        return nn.GroupNorm(4, width)

    model = nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(3, 8, 7), instance(8), nn.ReLU(True),
        nn.Conv2d(8, 16, 3, 2, 1), instance(16), nn.ReLU(True),
        Residual(16, instance), Residual(16, group),
        nn.Upsample(scale_factor=2, mode="nearest"), nn.ReflectionPad2d(1), nn.Conv2d(16, 8, 3),
        group(8), nn.ReLU(True), nn.ReflectionPad2d(3), nn.Conv2d(8, 3, 7), nn.Tanh(),
    )  # fmt: skip
    return settled(model), (images(3, 20, 24),)


class TemporalBlock(nn.Module):
    """Causal convolutions with weight normalisation (TCN)."""

    def __init__(self, inputs, outputs, dilation):
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        self.left = 2 * dilation
        self.conv1 = norm(nn.Conv1d(inputs, outputs, 3, dilation=dilation))
        self.conv2 = norm(nn.Conv1d(outputs, outputs, 3, dilation=dilation))
        self.short = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x):
        y = F.relu(self.conv1(F.pad(x, (self.left, 0))))
        y = F.relu(self.conv2(F.pad(y, (self.left, 0))))
        return F.relu(y + self.short(x))


class TCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(
            TemporalBlock(2, 8, 1), TemporalBlock(8, 8, 2), TemporalBlock(8, 12, 4)
        )
        self.head = nn.Linear(12, 4)

    def forward(self, wave):
        y = self.blocks(wave)
        return self.head(y[:, :, -1]), y.mean(dim=2)


def tcn():
    torch.manual_seed(13)
    return settled(TCN()), (images(2, 40),)


class AudioNet(nn.Module):
    """Strided 1-D convolutions over a raw wave, pooled at the end."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 16, 16, stride=4, padding=6), nn.BatchNorm1d(16), nn.LeakyReLU(0.2),
            nn.MaxPool1d(3, 2, padding=1), nn.Conv1d(16, 24, 5, padding=2, groups=4),
            nn.BatchNorm1d(24), nn.ELU(), nn.AvgPool1d(2), nn.Conv1d(24, 24, 3, dilation=2),
            nn.GroupNorm(3, 24), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Linear(48, 6)

    def forward(self, wave):
        x = self.features(wave.unsqueeze(1))
        return self.head(torch.cat([x.mean(-1), x.amax(-1)], dim=1))


def audio_net():
    torch.manual_seed(14)
    return settled(AudioNet()), (images(160),)


class VideoNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(3, 8, (3, 5, 5), stride=(1, 2, 2), padding=(1, 2, 2))
        self.norm = nn.BatchNorm3d(8)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.space = nn.Conv3d(8, 12, (1, 3, 3), padding=(0, 1, 1))
        self.time = nn.Conv3d(12, 12, (3, 1, 1), padding=(1, 0, 0), groups=12)
        self.mix = nn.Conv3d(12, 16, 1, groups=2)
        self.average = nn.AvgPool3d(2)
        self.head = nn.Linear(16, 5)

    def forward(self, clip):
        x = self.pool(F.relu(self.norm(self.stem(clip))))
        x = F.relu(self.mix(self.time(F.relu(self.space(x)))))
        x = F.adaptive_avg_pool3d(self.average(x), 1).flatten(1)
        return self.head(x)


def video_net():
    torch.manual_seed(15)
    return settled(VideoNet()), (images(3, 6, 20, 24),)


def gan_generator():
    torch.manual_seed(16)

    def up(inputs, outputs, kernel, stride, padding, extra=0):
        layer = nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, extra, bias=False)
        return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(True))

    model = nn.Sequential(
        nn.Linear(12, 16 * 4 * 4), nn.Unflatten(1, (16, 4, 4)), up(16, 12, 4, 2, 1),
        up(12, 8, 3, 2, 1, 1), up(8, 8, 5, 1, 2), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    return settled(model), (images(12),)


class VAE(nn.Module):
    """At inference the mean is taken; reconstruction, mean and log-variance come back."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.SELU(), nn.Conv2d(8, 16, 3, 2, 1), nn.CELU(0.7)
        )
        self.mean, self.log_variance = nn.Linear(16 * 49, 6), nn.Linear(16 * 49, 6)
        self.expand = nn.Linear(6, 16 * 49)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(16, 8, 3, 2, 1, 1), nn.Softplus(), nn.ConvTranspose2d(8, 1, 2, 2)
        )

    def forward(self, x):
        h = self.encoder(x).flatten(1)
        mean, log_variance = self.mean(h), self.log_variance(h).clamp(-8, 8)
        z = mean
        if self.training:
            z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        y = self.decoder(self.expand(z).view(-1, 16, 7, 7))
        return torch.sigmoid(y), mean, log_variance


def vae():
    torch.manual_seed(17)
    return settled(VAE()), (images(1, 28, 28),)


class SegNet(nn.Module):
    """An autoencoder that puts maxima back to where they came from."""

    def __init__(self):
        super().__init__()
        self.pool, self.unpool = nn.MaxPool2d(2, 2, return_indices=True), nn.MaxUnpool2d(2, 2)
        self.enter, self.deep = conv_bn(3, 8), conv_bn(8, 12)
        self.back, self.out = conv_bn(12, 8), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x):
        x, first = self.pool(self.enter(x))
        x, second = self.pool(self.deep(x))
        x = self.back(self.unpool(x, second))
        return self.out(self.unpool(x, first))


def segnet():
    torch.manual_seed(18)
    return settled(SegNet()), (images(3, 16, 20),)


class SpatialTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.localization = nn.Sequential(
            nn.Conv2d(1, 6, 7), nn.MaxPool2d(2, stride=2), nn.ReLU(True), nn.Conv2d(6, 8, 5),
            nn.MaxPool2d(2, stride=2), nn.ReLU(True),
        )  # fmt: skip
        self.fc_loc = nn.Sequential(nn.Linear(8 * 9, 16), nn.ReLU(True), nn.Linear(16, 6))
        with torch.no_grad():
            self.fc_loc[2].weight.mul_(0.1)
            self.fc_loc[2].bias.copy_(torch.tensor([1, 0, 0.1, 0, 1, -0.1]))
        self.classify = nn.Sequential(nn.Conv2d(1, 8, 5, 2), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(8 * 12 * 12, 10)

    def forward(self, x):
        theta = self.fc_loc(self.localization(x).view(-1, 8 * 9)).view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        x = F.grid_sample(x, grid, align_corners=False)
        return F.log_softmax(self.head(self.classify(x)), dim=1)


def spatial_transformer():
    torch.manual_seed(19)
    return settled(SpatialTransformer()), (images(1, 28, 28),)


def channel_shuffle(x, groups):
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batch, -1, height, width)


class ShuffleUnit(nn.Module):
    def __init__(self, width):
        super().__init__()
        half = width // 2
        self.branch = nn.Sequential(
            conv_bn(half, half, 1), conv_bn(half, half, 3, groups=half, act=None),
            conv_bn(half, half, 1),
        )  # fmt: skip

    def forward(self, x):
        kept, changed = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat((kept, self.branch(changed)), dim=1), 2)


def shuffle_net():
    torch.manual_seed(20)
    model = nn.Sequential(
        conv_bn(3, 16, 3, 2), nn.MaxPool2d(3, 2, 1), ShuffleUnit(16), ShuffleUnit(16),
        nn.Conv2d(16, 24, 1, groups=4), nn.ChannelShuffle(4), nn.AdaptiveMaxPool2d(2),
        nn.Flatten(), nn.Linear(96, 8),
    )  # fmt: skip
    return settled(model), (images(3, 28, 28),)


class WindowAttention(nn.Module):
    """Shifted windows with a table of relative positions, as in Swin."""

    def __init__(self, width=16, heads=2, window=4, size=8, shift=2):
        super().__init__()
        self.heads, self.window, self.size, self.shift = heads, window, size, shift
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.1)
        places = torch.stack(torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
        places = places.flatten(1)
        between = (places[:, :, None] - places[:, None, :]).permute(1, 2, 0) + window - 1
        self.register_buffer("index", between[..., 0] * (2 * window - 1) + between[..., 1])
        regions = torch.zeros(1, size, size, 1)
        cuts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
        for number, (rows, columns) in enumerate((r, c) for r in cuts for c in cuts):
            regions[:, rows, columns, :] = number
        regions = self.windows(regions).squeeze(-1)
        apart = regions.unsqueeze(1) - regions.unsqueeze(2)
        self.register_buffer("mask", apart.masked_fill(apart != 0, -100.0))

    def windows(self, x):
        b, h, w, c = x.shape
        x = x.view(b, h // self.window, self.window, w // self.window, self.window, c)
        return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, self.window**2, c)

    def forward(self, x):
        b, length, c = x.shape
        y = self.norm(x).view(b, self.size, self.size, c)
        y = torch.roll(y, shifts=(-self.shift, -self.shift), dims=(1, 2))
        y = self.windows(y)
        qkv = self.qkv(y).reshape(-1, self.window**2, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = q @ k.transpose(-2, -1) / math.sqrt(c // self.heads)
        bias = self.table[self.index.view(-1)].view(self.window**2, self.window**2, -1)
        weights = weights + bias.permute(2, 0, 1).unsqueeze(0)
        count = self.mask.shape[0]
        weights = weights.view(-1, count, self.heads, self.window**2, self.window**2)
        weights = (weights + self.mask.unsqueeze(1).unsqueeze(0)).flatten(0, 1)
        y = (weights.softmax(-1) @ v).transpose(1, 2).reshape(-1, self.window**2, c)
        side = self.size // self.window
        y = self.proj(y).view(-1, side, side, self.window, self.window, c)
        y = y.permute(0, 1, 3, 2, 4, 5).reshape(b, self.size, self.size, c)
        y = torch.roll(y, shifts=(self.shift, self.shift), dims=(1, 2))
        return x + y.reshape(b, length, c)


class Swin(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.block = nn.Conv2d(3, 16, 4, 4), WindowAttention()
        self.reduce, self.head = nn.Linear(64, 24, bias=False), nn.Linear(24, 6)

    def forward(self, x):
        x = self.block(self.embed(x).flatten(2).transpose(1, 2))
        x = x.view(-1, 8, 8, 16)
        parts = [x[:, i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
        return self.head(self.reduce(torch.cat(parts, -1)).mean(dim=(1, 2)))


def swin():
    torch.manual_seed(21)
    return settled(Swin()), (images(3, 32, 32),)


class Detector(nn.Module):
    """Boxes, scores and classes of anchors, nested as detection heads return them."""

    def __init__(self, anchors=3, classes=4):
        super().__init__()
        self.anchors, self.classes = anchors, classes
        self.body = nn.Sequential(conv_bn(3, 12, 3, 2, act=nn.SiLU), conv_bn(12, 16, 3, 2))
        self.deeper = conv_bn(16, 24, 3, 2)
        self.heads = nn.ModuleList([nn.Conv2d(c, anchors * (5 + classes), 1) for c in (16, 24)])
        for i, stride in enumerate((4, 8)):
            rows, columns = torch.meshgrid(
                torch.arange(24 // stride), torch.arange(32 // stride), indexing="ij"
            )
            self.register_buffer(f"grid{i}", torch.stack((columns, rows), 2).float() + 0.5)
        self.register_buffer("sizes", torch.rand(2, anchors, 1, 1, 2) + 0.5)

    def forward(self, image):
        a = self.body(image)
        features = (a, self.deeper(a))
        boxes, scores = [], []
        for i, (head, x) in enumerate(zip(self.heads, features, strict=True)):
            b, _, h, w = x.shape
            y = head(x).view(b, self.anchors, 5 + self.classes, h, w).permute(0, 1, 3, 4, 2)
            centre, size, rest = y.sigmoid().split([2, 2, 1 + self.classes], dim=-1)
            grid = getattr(self, f"grid{i}")
            centre = (centre * 2 - 1 + grid) * 4 * 2**i
            size = (size * 2) ** 2 * self.sizes[i]
            boxes.append(torch.cat((centre - size / 2, centre + size / 2), -1).reshape(b, -1, 4))
            scores.append((rest[..., :1] * rest[..., 1:]).reshape(b, -1, self.classes))
        scores = torch.cat(scores, 1)
        best, kind = scores.max(-1)
        top, where = best.topk(10, dim=1)
        chosen = torch.cat(boxes, 1).gather(1, where.unsqueeze(-1).expand(-1, -1, 4))
        return {"detections": (chosen, top, kind.gather(1, where)), "features": list(features)}


def detector():
    torch.manual_seed(22)
    return settled(Detector()), {"image": images(3, 24, 32)}


class EinsumMixer(nn.Module):
    def __init__(self, tokens=16, width=12):
        super().__init__()
        self.patches = nn.Unfold(4, stride=4)
        self.embed = nn.Linear(48, width)
        self.token = nn.Parameter(torch.randn(tokens, tokens, 2) * 0.2)
        self.channel = nn.Parameter(torch.randn(2, width // 2, width // 2) * 0.3)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x):
        x = self.embed(self.patches(x).transpose(1, 2))
        b, n, c = x.shape
        y = self.norm(x).reshape(b, n, 2, c // 2)
        y = torch.einsum("bnhc,nmh->bmhc", y, self.token)
        y = F.gelu(torch.einsum("bmhc,hcd->bmhd", y, self.channel), approximate="tanh")
        x = x + y.flatten(2)
        pairs = torch.einsum("bic,bjc->bij", x, x).softmax(-1)
        return self.head(torch.einsum("bij,bjc->bc", pairs, x) / n), pairs


def einsum_mixer():
    torch.manual_seed(23)
    return settled(EinsumMixer()), (images(3, 16, 16),)


class GatedNet(nn.Module):
    """PReLU, Mish and GLU, with a residual that is normalised spectrally."""

    def __init__(self):
        super().__init__()
        spectral = nn.utils.parametrizations.spectral_norm
        self.enter = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1, padding_mode="circular"))
        self.act = nn.PReLU(12)
        self.gate = nn.Sequential(nn.Conv2d(12, 24, (3, 5), padding="same"), nn.GLU(dim=1))
        self.mish = nn.Mish()
        self.deep = spectral(nn.Conv2d(12, 12, 3, padding=1))
        self.norm = nn.BatchNorm2d(12, affine=False)
        self.head = nn.Linear(12, 4)
        with torch.no_grad():
            self.act.weight.uniform_(0.05, 0.4)

    def forward(self, x):
        x = self.gate(self.act(self.enter(x)))
        x = x + self.deep(self.mish(self.norm(x)))
        x = F.normalize(x, dim=1)
        return self.head(F.lp_pool2d(x, 2.0, 4).flatten(2).amax(-1))


def gated_net():
    torch.manual_seed(24)
    return settled(GatedNet()), (images(3, 16, 20),)


class TwoStream(nn.Module):
    """Two images of different sizes and a vector, fused by modulation (FiLM)."""

    def __init__(self):
        super().__init__()
        self.fine, self.coarse = conv_bn(3, 8), conv_bn(1, 8, 5)
        self.film = nn.Linear(6, 16)
        self.out = nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, image, depth, condition):
        x = self.fine(image)
        y = F.interpolate(self.coarse(depth), size=x.shape[-2:], mode="bilinear")
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        fused = torch.cat([x * (1 + scale) + shift, y], dim=1)
        return self.out(F.leaky_relu(fused, 0.1))


def two_stream():
    torch.manual_seed(25)
    given = {"image": images(3, 16, 18), "depth": images(1, 8, 9, seed=2)}
    return settled(TwoStream()), given | {"condition": images(6, seed=3)}


class FullyConvolutional(nn.Module):
    """Segments images of any size and brings the answer back to it."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv_bn(3, 8, 3, 2), conv_bn(8, 12, 3, 2), nn.GroupNorm(3, 12))
        self.context = nn.Conv2d(12, 12, 1)
        self.head = nn.Conv2d(12, 3, 1)

    def forward(self, x):
        y = self.body(x)
        context = self.context(F.adaptive_avg_pool2d(y, 1))
        y = self.head(y + F.interpolate(context, size=y.shape[-2:], mode="nearest"))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


def fully_convolutional():
    torch.manual_seed(26)
    return settled(FullyConvolutional()), (images(3, 20, 24),)


MODELS = {
    factory.__name__: factory
    for factory in (
        audio_net, convnext, densenet, detector, einsum_mixer, espcn, fpn, fully_convolutional,
        gan_generator, gated_net, inception, mobilenet, resnet_dilated, segnet, shuffle_net,
        spatial_transformer, style_transfer, super_resolution, swin, tcn, two_stream, unet,
        unet_resized, vae, video_net, vit,
    )
}  # fmt: skip

DYNAMIC = {
    "audio_net": "wave:1=length",
    "espcn": "input:2=height,input:3=width",
    "fully_convolutional": "x:2=height,x:3=width",
    "tcn": "wave:2=length",
}
