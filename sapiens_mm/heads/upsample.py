"""The layers of Sapiens' decoders: deconvolutions that double the resolution, then 1x1 convolutions.

Each is followed by InstanceNorm without parameters and SiLU, where OpenMMLab's heads of the same weight names have BatchNorm and
ReLU. InstanceNorm takes its statistics from the whole feature map, in training and in evaluation, so the result at one place
depends on the whole picture: do not tile, pad or fold it into the convolutions. Released models: Khirodkar et al., ECCV 2024.
"""
from __future__ import annotations

from collections.abc import Sequence

from torch import nn

# kernel size -> (padding, output padding) that make a stride of 2 double the size exactly
_DOUBLING = {4: (1, 0), 3: (1, 1), 2: (0, 0)}


def deconv_layers(in_channels: int, channels: Sequence[int], kernel_sizes: Sequence[int]) -> nn.Sequential:
    """Deconvolution stack: (B, C, H, W) -> (B, channels[-1], 2^n H, 2^n W) for n layers; weights at 0, 3, 6, ...

    Raises:
        ValueError: A kernel size other than 2, 3 or 4.
    """
    layers: list[nn.Module] = []
    for out_channels, kernel_size in zip(channels, kernel_sizes):
        if kernel_size not in _DOUBLING:
            raise ValueError(f'a deconvolution kernel is 2, 3 or 4 wide, got {kernel_size}')
        padding, output_padding = _DOUBLING[kernel_size]
        layers += [
            nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride=2, padding=padding,
                               output_padding=output_padding, bias=False),
            nn.InstanceNorm2d(out_channels),
            nn.SiLU(inplace=True)
        ]
        in_channels = out_channels
    return nn.Sequential(*layers)


def conv_layers(in_channels: int, channels: Sequence[int], kernel_sizes: Sequence[int]) -> nn.Sequential:
    """Convolution stack at one resolution: (B, C, H, W) -> (B, channels[-1], H, W); weights at 0, 3, 6, ..."""
    layers: list[nn.Module] = []
    for out_channels, kernel_size in zip(channels, kernel_sizes):
        layers += [
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=(kernel_size - 1) // 2),
            nn.InstanceNorm2d(out_channels),
            nn.SiLU(inplace=True)
        ]
        in_channels = out_channels
    return nn.Sequential(*layers)
